"""Gaps: slices that a chain crosses without a component, filled from the components on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss_model.pcsw.components import Components
from sss_model.pcsw.links import Links


@dataclass(frozen=True, eq=False)
class Gap:
    """The filling of one slice of one chain.

    Attributes:
        slice, kind: where, and of which class.
        box: (4,) x0, y0, x1, y1 as in `Components`, interpolated between the neighbours' boxes.
        mask: (H, W) boolean, the pixels that lie in the chain on both sides; on either side where hardly any do.
    """

    slice: int
    kind: int
    box: np.ndarray
    mask: np.ndarray


def find_gaps(components: Components, links: Links, chains: np.ndarray, kept: np.ndarray) -> list[Gap]:
    """The gaps of kept chains, the smallest mask first.

    A link over two or more slices spans those between. Where its chain has no component in one of them, the links
    with the nearest ends fill it; several, at a fork, together.
    """
    spans = links.of(kept[links.earlier] & (chains[links.earlier] == chains[links.later]))
    present = np.unique(chains * components.depth + components.slices)
    spanning: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for distance in range(2, int(_distances(components, spans).max(initial=0)) + 1):
        these = spans.of(_distances(components, spans) == distance)
        for step in range(1, distance):
            where = components.slices[these.earlier] + step
            missing = ~np.isin(chains[these.earlier] * components.depth + where, present)
            _enter(spanning, chains, where[missing], these.of(missing), components)
    gaps = [_gap(components, where, ends) for (_, where), ends in sorted(spanning.items())]
    return sorted(gaps, key=lambda gap: np.count_nonzero(gap.mask))


def _distances(components: Components, links: Links) -> np.ndarray:
    return components.slices[links.later] - components.slices[links.earlier]


def _enter(
    spanning: dict[tuple[int, int], list[tuple[int, int]]],
    chains: np.ndarray,
    where: np.ndarray,
    links: Links,
    components: Components,
) -> None:
    """Note which links span which (chain, slice), shorter ones having come before longer ones."""
    for slice_, one, other in zip(where.tolist(), links.earlier.tolist(), links.later.tolist(), strict=True):
        ends = spanning.setdefault((int(chains[one]), slice_), [])
        apart = components.slices[other] - components.slices[one]
        if not ends or components.slices[ends[0][1]] - components.slices[ends[0][0]] == apart:
            ends.append((one, other))


def _gap(components: Components, where: int, ends: list[tuple[int, int]]) -> Gap:
    boxes = np.stack([_between(components, where, *pair) for pair in ends])
    mask = np.any([_inside(components, *pair) for pair in ends], axis=0)
    return Gap(
        slice=where,
        kind=int(components.classes[ends[0][0]]),
        box=np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]),
        mask=mask,
    )


def _between(components: Components, where: int, one: int, other: int) -> np.ndarray:
    """(4,) the box that lies between two components' boxes as `where` lies between their slices."""
    first, last = components.slices[one], components.slices[other]
    return (components.boxes[one] * (last - where) + components.boxes[other] * (where - first)) / (last - first)


def _inside(components: Components, one: int, other: int) -> np.ndarray:
    """(H, W) the pixels of both components. Rings of a tapering wall may share next to none; then those of either."""
    before, after = (_mask(components, node) for node in (one, other))
    smaller = min(components.areas[one], components.areas[other])
    both: np.ndarray = before & after
    return both if 2 * np.count_nonzero(both) >= smaller else before | after


def _mask(components: Components, node: int) -> np.ndarray:
    """(H, W) a component's pixels."""
    mask: np.ndarray = components.labels[components.slices[node]] == node + 1
    return mask
