"""Judgement: which chains of components are kept."""

from __future__ import annotations

import numpy as np

from sss_model.config import Pcsw
from sss_model.pcsw.components import Components


def judge(
    components: Components, candidates: np.ndarray, chains: np.ndarray, pixel_mm2: float, config: Pcsw
) -> np.ndarray:
    """(n,) whether a component is kept, all of a chain or nothing of it.

    A chain is kept when it is confident and long: its components' mean probability reaches `min_confidence` and they
    lie in at least min(N, D) slices. The clip's end counts as the volume's border: a chain that reaches it may go on
    unseen, so two slices will do. Where a chain's length is no evidence, area and confidence decide (`thin_area_mm2`,
    `thin_confidence`): on 2-D data, where `thin` allows structures this short, and for a component in a clip's first or
    last slice whose neighbouring slice shows nothing of that class.

    Args:
        candidates: (n,) boolean; the other components are rejected.
        chains: (n,) from `find_chains`.
        pixel_mm2: area of a pixel.
    """
    count, depth = len(components), components.depth
    area = np.bincount(chains, weights=components.areas, minlength=count)
    confidence = np.bincount(chains, weights=components.confidences, minlength=count) / np.maximum(area, 1)
    largest = np.zeros(count)
    np.maximum.at(largest, chains, components.areas * pixel_mm2)
    length = np.bincount(np.unique(chains * depth + components.slices) // depth, minlength=count)
    at_end = np.bincount(chains, weights=_at_end(components), minlength=count) > 0

    long = (length >= min(config.window, depth)) | (at_end & (length >= 2))
    cut_off = np.bincount(chains, weights=_cut_off(components, candidates), minlength=count) > 0
    by_size = (cut_off & (length == 1)) | config.thin | (depth == 1)
    kept = long & (depth > 1) & (confidence >= config.min_confidence)
    kept |= by_size & (confidence >= config.thin_confidence) & (largest >= config.thin_area_mm2)
    return kept[chains] & candidates


def _at_end(components: Components) -> np.ndarray:
    return (components.slices == 0) | (components.slices == components.depth - 1)


def _cut_off(components: Components, candidates: np.ndarray) -> np.ndarray:
    """(n,) whether a component lies in the first or last slice and the slice next to it shows none of its class."""
    depth = components.depth
    shown = np.zeros((depth, int(components.classes.max(initial=0)) + 1), bool)
    shown[components.slices[candidates], components.classes[candidates]] = True
    inwards = np.where(components.slices == 0, min(1, depth - 1), max(depth - 2, 0))
    return _at_end(components) & ~shown[inwards, components.classes]
