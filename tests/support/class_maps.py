"""Class maps to judge, and how hypothesis draws them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from sss_model.config import Pcsw
from sss_model.pcsw import Prompts, generate_prompts

SPACING = (5.0, 1.5, 1.5)
SIDE = 48


def prompts_of(
    classes: np.ndarray,
    confidence: np.ndarray | float = 0.9,
    *,
    foreground: int = 3,
    spacing: tuple[float, float, float] = SPACING,
    **settings: object,
) -> Prompts:
    """PCSW with its defaults but for what is said."""
    everywhere = np.broadcast_to(np.float32(confidence), classes.shape).copy()
    return generate_prompts(
        classes,
        everywhere,
        foreground=foreground,
        spacing=spacing,
        config=Pcsw.model_validate({"enabled": True, "warmup": 0, **settings}),
    )


def disc(row: float, column: float, radius: float, side: int = SIDE) -> np.ndarray:
    """(side, side) boolean."""
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(rows - row, columns - column) <= radius


def organ(slices: int = 6, kind: int = 1, row: float = 20, column: float = 20, radius: float = 8) -> np.ndarray:
    """(slices, SIDE, SIDE) uint8, the same disc in every slice."""
    return np.repeat((disc(row, column, radius) * kind).astype(np.uint8)[None], slices, axis=0)


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Wandering, missing, jumping and bursting discs of three classes, specks and noise; classes and confidence."""
    depth = draw(st.integers(1, 7))
    height, width = draw(st.integers(16, 40)), draw(st.integers(16, 40))
    seed, lumps, noise = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 5)), draw(st.floats(0, 0.05))
    draws = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    classes = np.zeros((depth, height, width), np.uint8)
    for _ in range(lumps):
        kind, radius = draws.integers(1, 4), draws.uniform(1, 9)
        centre = draws.uniform(0, [height, width])
        for plane in classes:
            if draws.random() < 0.85:
                here, size = (
                    centre + draws.normal(0, 1 + 10 * (draws.random() < 0.1), 2),
                    radius * draws.uniform(0.5, 1.5),
                )
                plane[np.hypot(rows - here[0], columns - here[1]) <= size] = kind
    speckled = draws.random(classes.shape) < noise
    classes[speckled] = draws.integers(0, 4, int(speckled.sum()))
    confidence = draws.uniform(0.3, 1, classes.shape).astype(np.float32)
    return classes, confidence
