"""Class maps of neighbouring slices in, prompts and a keep-mask out."""

from __future__ import annotations

import numpy as np

from sss_model.config import Pcsw
from sss_model.pcsw.components import Components, find_components
from sss_model.pcsw.gaps import find_gaps
from sss_model.pcsw.judgement import judge
from sss_model.pcsw.links import find_chains, find_links
from sss_model.pcsw.prompts import Prompts, among_largest, write_prompts

_PIECES = 16  # Of one class in one slice: more is noise, and pairs would grow with their square.


def generate_prompts(
    classes: np.ndarray, confidence: np.ndarray, *, foreground: int, spacing: tuple[float, float, float], config: Pcsw
) -> Prompts:
    """PCSW ("Physical Constraints with a Sliding Window", arXiv 2506.08949): prompts from a model's own class maps.

    1. Each slice's components, by class, are nodes. Specks under `min_area_mm2` are rejected at once, as is what is
       left after a class's sixteen largest components in a slice.
    2. Components of one class in slices of one window that overlap, match in size and lie close are linked.
    3. Each window votes, and a depth-first search collects chains.
    4. Chains that are long and confident enough are kept.
    5. Kept components prompt, as do gaps inside kept chains; what was rejected is ignored, never background.

    The paper's text gives no thresholds: all are ours, in `config`. Time is linear in pixels.

    Args:
        classes: (D, H, W) integers, 0 background to `foreground`, of D neighbouring slices of one volume or clip.
        confidence: (D, H, W) float32 probability of that class.
        spacing: slice distance, row and column spacing in mm, positive.

    Raises:
        ValueError: the shapes differ, aren't 3-D or hold nothing, or a class is out of range.
    """
    _check(classes, confidence, foreground)
    found = find_components(np.ascontiguousarray(classes), confidence, foreground)
    pixel_mm2 = spacing[1] * spacing[2]
    candidates = found.areas * pixel_mm2 >= config.min_area_mm2
    candidates &= among_largest(found, candidates, _PIECES)
    links = find_links(found, candidates, spacing, config)
    chains = find_chains(found, links, config.window)
    kept = judge(found, candidates, chains, pixel_mm2, config)
    gaps = find_gaps(found, links, chains, kept)
    return write_prompts(
        found,
        kept,
        gaps,
        prompting=np.flatnonzero(among_largest(found, kept, config.max_components)),
        acceptance=_acceptance(found, kept, foreground),
        margin=(config.margin_mm / spacing[2], config.margin_mm / spacing[1]),
    )


def _check(classes: np.ndarray, confidence: np.ndarray, foreground: int) -> None:
    if classes.ndim != 3 or not classes.size or classes.shape != confidence.shape:
        raise ValueError(
            f"expected two maps (D, H, W) of one shape, not empty, found {classes.shape} and {confidence.shape}"
        )
    if not 0 <= int(classes.min()) <= int(classes.max()) <= foreground:
        raise ValueError(f"expected classes 0 to {foreground}, found {int(classes.min())} to {int(classes.max())}")


def _acceptance(found: Components, kept: np.ndarray, foreground: int) -> np.ndarray:
    predicted = np.bincount(found.classes, weights=found.areas, minlength=foreground + 1)[1:]
    accepted = np.bincount(found.classes, weights=found.areas * kept, minlength=foreground + 1)[1:]
    return np.divide(accepted, predicted, out=np.full(foreground, np.nan), where=predicted > 0)
