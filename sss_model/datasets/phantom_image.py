"""The phantom's looks: tissues, surroundings, look-alikes, and what a scanner does to them."""

from __future__ import annotations

import numpy as np

from sss_model.datasets.phantom_heart import Grid, Heart, ellipse
from sss_model.datasets.phantom_random import Draws

# Ranges that patients are drawn from. Tissue levels are shares of a full scale of 1.
BLOOD = (0.7, 1.0)
CONTRAST = (0.35, 0.55)  # of blood over muscle
CRESCENT_BLOOD = (0.8, 1.0)  # relative to the cavity's
TISSUES = {"soft": (0.1, 0.5), "fat": (0.3, 1.1), "lung": (0.02, 0.2), "liver": (0.15, 0.7), "spine": (0.1, 0.7)}
# Tissue, and ranges of an ellipse's middle (x, y) and half axes (x, y), mm from the body's middle.
ORGANS = (
    ("lung", (-62.0, -48.0), (-15.0, 20.0), (22.0, 38.0), (30.0, 48.0)),
    ("lung", (48.0, 62.0), (-15.0, 20.0), (22.0, 38.0), (30.0, 48.0)),
    ("liver", (-30.0, 30.0), (-60.0, -44.0), (34.0, 57.0), (18.0, 31.0)),
    ("spine", (-30.0, 30.0), (50.0, 66.0), (13.0, 21.0), (7.0, 11.0)),
)
BODY = (78.0, 105.0), (64.0, 85.0)  # half axes, mm
FAT_RIND = (4.0, 12.0)  # mm under the skin
FAT_RIM = (0.0, 5.0)  # mm around the heart, where it is thickest two and a half times that
VESSELS, VESSEL_RADIUS = (3, 6), (2.5, 8.0)
LOOKALIKES, LOOKALIKE_RADIUS, LOOKALIKE_RIM = (1, 4), (6.0, 22.0), (2.0, 9.0)
LOOKALIKE_DISTANCE = (50.0, 85.0)  # mm from the field's middle
LOOKALIKE_SLICES = (1, 8)
TONE = (0.65, 1.6)  # bend of the tone curve, 1 is straight
BIAS = (-0.3, 0.3)  # coefficients of the bias polynomial
TEXTURE = (0.02, 0.1)
SLICE_GAIN = (0.92, 1.08)
NOISE = (0.02, 0.06)
BLUR = (0, 1)  # passes of a 1-2-1 filter
GAIN = (200.0, 1500.0)  # stored value of a full scale


def render(grid: Grid, heart: Heart, patient: Draws, frame: Draws) -> np.ndarray:
    """The scan (X, Y, Z) of a heart in its surroundings, float64, in stored units and not yet rounded to them."""
    blood = patient.uniform("blood", BLOOD)
    levels = {name: patient.uniform(name, bounds) for name, bounds in TISSUES.items()}
    levels |= {"blood": blood, "muscle": blood - patient.uniform("contrast", CONTRAST)}
    image = _surroundings(grid, patient, levels)
    _lookalikes(image, grid, patient, levels)
    _paint_heart(image, grid, heart, patient, levels)
    return _acquire(image, grid, patient, frame)


def _surroundings(grid: Grid, patient: Draws, levels: dict[str, float]) -> np.ndarray:
    """Body, lungs, liver and spine, float64."""
    draws = patient.branch("body")
    cosine, sine = draws.rotation("tilt", 0.15)
    x, y = cosine * grid.x + sine * grid.y, cosine * grid.y - sine * grid.x
    x, y = (axis - draws.uniform(f"position {name}", (-10.0, 10.0)) for axis, name in ((x, "x"), (y, "y")))
    body = ellipse(x, y, draws.uniform("half width", BODY[0]), draws.uniform("half depth", BODY[1]))
    image = np.zeros(grid.shape)
    _paint(image, grid.coverage(body), levels["fat"])
    _paint(image, grid.coverage(body + draws.uniform("rind", FAT_RIND)), levels["soft"])
    for number, (tissue, *bounds) in enumerate(ORGANS):
        part = draws.branch(number)
        u, v, a, b = (part.uniform(name, limits) for name, limits in zip("uvab", bounds, strict=True))
        _paint(image, grid.coverage(ellipse(x - u, y - v, a, b)), levels[tissue])
    return image


def _lookalikes(image: np.ndarray, grid: Grid, patient: Draws, levels: dict[str, float]) -> None:
    """Vessels, and discs, rings and halves with the heart's own intensities in places and sizes a heart hasn't."""
    for number in range(patient.integer("vessels", VESSELS)):
        draws = patient.branch(f"vessel {number}")
        distance = _disc(grid, draws, draws.uniform("radius", VESSEL_RADIUS))
        _paint(image, grid.coverage(distance - 1.5), levels["muscle"])
        _paint(image, grid.coverage(distance), levels["blood"])
    for number in range(patient.integer("lookalikes", LOOKALIKES)):
        draws = patient.branch(f"lookalike {number}")
        distance = _disc(grid, draws, draws.uniform("radius", LOOKALIKE_RADIUS))
        visible = _some_slices(grid, draws)
        _paint(image, grid.coverage(distance - draws.uniform("rim", LOOKALIKE_RIM)) * visible, levels["muscle"])
        filling = ("blood", "blood", "liver", "lung")[draws.integer("filling", (0, 3))]
        _paint(image, grid.coverage(distance) * visible, levels[filling])


def _disc(grid: Grid, draws: Draws, radius: float) -> np.ndarray:
    """Distance from a tube that drifts from slice to slice, off the middle of the field."""
    cosine, sine = draws.rotation("direction", 1.0)
    away = draws.uniform("distance", LOOKALIKE_DISTANCE) * (1 - 2 * draws.integer("side", (0, 1)))
    x, y = (
        axis - away * part - draws.uniform(f"drift {name}", (-12.0, 12.0)) * (grid.descent - 0.5)
        for axis, part, name in ((grid.x, cosine, "x"), (grid.y, sine, "y"))
    )
    stretch = draws.uniform("stretch", (0.75, 1.3))
    return ellipse(x, y, radius * stretch, radius / stretch)


def _some_slices(grid: Grid, draws: Draws) -> np.ndarray:
    first = draws.integer("first slice", (0, grid.shape[2] - 1))
    index = np.arange(grid.shape[2]).reshape(1, 1, -1)
    return ((index >= first) & (index < first + draws.integer("slices", LOOKALIKE_SLICES))).astype(np.float64)


def _paint_heart(image: np.ndarray, grid: Grid, heart: Heart, patient: Draws, levels: dict[str, float]) -> None:
    rim = patient.uniform("fat rim", FAT_RIM) * (1.0 + 0.8 * patient.field("fat rim", grid.axes, (25.0, 25.0, 25.0)))
    _paint(image, grid.coverage(np.minimum(heart.wall, heart.chamber_wall) - rim), levels["fat"])
    _paint(image, grid.coverage(heart.chamber_wall), levels["muscle"])
    _paint(image, grid.coverage(heart.chamber), levels["blood"] * patient.uniform("crescent blood", CRESCENT_BLOOD))
    _paint(image, grid.coverage(heart.wall), levels["muscle"])
    _paint(image, grid.coverage(heart.cavity), levels["blood"])
    _paint(image, grid.coverage(np.maximum(heart.muscles, heart.cavity)) * 0.8, levels["muscle"])


def _paint(image: np.ndarray, coverage: np.ndarray, level: float) -> None:
    image += coverage * (level - image)


def _acquire(image: np.ndarray, grid: Grid, patient: Draws, frame: Draws) -> np.ndarray:
    """Texture, partial volume, tone curve, bias field, slice gains and noise."""
    image = image * (1.0 + patient.uniform("texture", TEXTURE) * frame.field("texture", grid.axes, (7.0, 7.0, 12.0)))
    for _ in range(patient.integer("blur", BLUR)):
        image = _blurred(image)
    image = np.clip(image, 0.0, 1.25) / 1.25
    bend = patient.uniform("tone", TONE)
    image = image / (image + bend * (1.0 - image))
    image = image * _bias(grid, patient) * frame.uniforms("slice gain", SLICE_GAIN, grid.shape[2])
    image = image + patient.uniform("noise", NOISE) * frame.noise("noise", grid.shape)
    return np.clip(image, 0.0, 4.0) * patient.uniform("gain", GAIN)


def _bias(grid: Grid, patient: Draws) -> np.ndarray:
    x, y = grid.x / 80.0, grid.y / 80.0
    a, b, c = (patient.uniform(f"bias {term}", BIAS) for term in ("x", "y", "xy"))
    d = patient.uniform("bias fall", (0.0, 0.3))
    return np.maximum(1.0 + a * x + b * y + c * (x * y) - d * (x * x + y * y), 0.15)


def _blurred(image: np.ndarray) -> np.ndarray:
    """One pass of a 1-2-1 filter along each in-plane axis."""
    padded = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
    image = (padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0
    padded = np.pad(image, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return (padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]) / 4.0
