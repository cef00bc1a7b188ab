"""Links between plausible components of neighbouring slices, and the chains that they form.

The paper's figure draws windows that judge and a depth-first search; the connected components of the links that pass
the windows' vote are the same sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sss_model.config import Pcsw
from sss_model.pcsw.components import Components


@dataclass(frozen=True, eq=False)
class Links:
    """The graph's edges: (K,) component numbers in the earlier and in the later slice."""

    earlier: np.ndarray
    later: np.ndarray

    def of(self, chosen: np.ndarray) -> Links:
        """The links where `chosen`, (K,) boolean, is true."""
        return Links(self.earlier[chosen], self.later[chosen])


def find_links(
    components: Components, candidates: np.ndarray, spacing: tuple[float, float, float], config: Pcsw
) -> Links:
    """Link candidates of one class in slices 1 to N - 1 apart that may be one structure.

    Three conditions hold for a link:

    - Overlap: the shared area of their boxes over the smaller box reaches `min_overlap`. Boxes, because the rings of
      a wall that tapers lie inside each other without a common pixel where slices are thick; over the smaller one,
      because size is judged by itself.
    - Size: larger over smaller area is at most `max_area_ratio`.
    - Position: the centroids' distance is at most `max_shift` mm per mm of slice distance.

    Args:
        candidates: (n,) boolean; the other components get no link.
        spacing: slice distance, row and column spacing in mm.
    """
    reach = min(config.window, components.depth)
    pairs = [_pairs(components, candidates, distance) for distance in range(1, reach)]
    nothing = np.zeros(0, np.int64)
    links = Links(
        earlier=np.concatenate([nothing, *(pair.earlier for pair in pairs)]),
        later=np.concatenate([nothing, *(pair.later for pair in pairs)]),
    )
    for plausible in (_in_size, _in_position, _in_overlap):  # the cheapest first, for what is left to the next
        links = links.of(plausible(components, links, spacing, config))
    return links


def _pairs(components: Components, candidates: np.ndarray, distance: int) -> Links:
    """All pairs of candidates of one class in slices `distance` apart."""
    kinds = int(components.classes.max(initial=0)) + 1
    groups = components.slices * kinds + components.classes
    order = np.flatnonzero(candidates)
    order = order[np.argsort(groups[order], kind="stable")]
    wanted = groups[order] + distance * kinds
    first = np.searchsorted(groups[order], wanted, side="left")
    many = np.searchsorted(groups[order], wanted, side="right") - first
    within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    return Links(earlier=np.repeat(order, many), later=order[np.repeat(first, many) + within])


def _in_size(components: Components, links: Links, spacing: tuple[float, float, float], config: Pcsw) -> np.ndarray:
    areas = components.areas[links.earlier], components.areas[links.later]
    return np.maximum(*areas) <= config.max_area_ratio * np.minimum(*areas)


def _in_position(components: Components, links: Links, spacing: tuple[float, float, float], config: Pcsw) -> np.ndarray:
    slices = components.slices[links.later] - components.slices[links.earlier]
    return _shifts_mm(components, links, spacing) <= config.max_shift * slices * spacing[0]


def _in_overlap(components: Components, links: Links, spacing: tuple[float, float, float], config: Pcsw) -> np.ndarray:
    return _overlaps(components.boxes[links.earlier], components.boxes[links.later]) >= config.min_overlap


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(K,) shared area over the smaller of two boxes."""
    shared = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    smaller = np.minimum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), (others[:, 2:] - others[:, :2]).prod(axis=1))
    return np.maximum(shared, 0).prod(axis=1) / smaller


def _shifts_mm(components: Components, links: Links, spacing: tuple[float, float, float]) -> np.ndarray:
    """(K,) distance of the centroids. One integer division at the end, so that mirrored maps give the same bits."""
    first, second = (components.areas[side][:, None] for side in (links.earlier, links.later))
    moved = components.moments[links.earlier] * second - components.moments[links.later] * first
    pixels = moved / (2 * first * second)
    return np.hypot(pixels[:, 0] * spacing[2], pixels[:, 1] * spacing[1])


def find_chains(components: Components, links: Links, window: int) -> np.ndarray:
    """(n,) the chain of each component, named by its first member in the links; a component alone is its own chain.

    The judging step of the paper's figure is a vote: a window votes for a component that it sees, itself counted, in
    more than half of its slices, through links. A component without a vote is linked to nothing. For N = 3 one link
    is enough; wider windows ask for more.
    """
    voted = _voted(components, links, min(window, components.depth))
    links = links.of(voted[links.earlier] & voted[links.later])
    edges = coo_array((np.ones(len(links.earlier), bool), (links.earlier, links.later)), shape=(len(components),) * 2)
    count, chains = connected_components(edges, directed=False)
    members = np.concatenate([np.stack([links.earlier, links.later], axis=1).ravel(), np.arange(len(components))])
    names = np.zeros(count, np.int64)
    names[chains[members[::-1]]] = members[::-1]  # backwards: the first is the one that stays
    return names[chains]


def _voted(components: Components, links: Links, window: int) -> np.ndarray:
    """(n,) whether any window votes for a component. Windows that reach over the end see no more than those inside."""
    reach = window - 1
    seen = np.zeros((len(components), 2 * reach + 1), bool)  # by slice distance, from -reach to reach
    distance = components.slices[links.later] - components.slices[links.earlier]
    seen[:, reach] = True
    seen[links.earlier, reach + distance] = True
    seen[links.later, reach - distance] = True
    votes = np.zeros(len(components), bool)
    for start in range(window):
        votes |= 2 * seen[:, start : start + window].sum(axis=1) > window
    return votes
