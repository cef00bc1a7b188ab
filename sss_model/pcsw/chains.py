"""From links to chains: the windows vote, then a depth-first search walks the links that are left."""

from __future__ import annotations

import numpy as np

from sss_model.pcsw.components import Components
from sss_model.pcsw.links import Links


def find_chains(components: Components, links: Links, window: int) -> np.ndarray:
    """(n,) the chain of each component, named by one of its members; a component alone is its own chain.

    The judging step of the paper's figure is a vote: a window votes for a component that it sees, itself counted, in
    more than half of its slices, through links. A component without a vote is linked to nothing. For N = 3 one link
    is enough; wider windows ask for more.
    """
    voted = _voted(components, links, min(window, components.depth))
    return _collect(len(components), links.of(voted[links.earlier] & voted[links.later]))


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


def _collect(count: int, links: Links) -> np.ndarray:
    """Depth-first, on a stack of its own: a long scan would exhaust Python's."""
    neighbours = _neighbours(links)
    chain = np.arange(count).tolist()
    fresh = set(neighbours)
    for root in neighbours:
        if root not in fresh:
            continue
        fresh.remove(root)
        stack = [root]
        while stack:
            node = stack.pop()
            chain[node] = root
            for other in neighbours[node]:
                if other in fresh:
                    fresh.remove(other)
                    stack.append(other)
    return np.array(chain, np.int64)


def _neighbours(links: Links) -> dict[int, list[int]]:
    """Linked components and what they are linked to."""
    neighbours: dict[int, list[int]] = {}
    for one, other in zip(links.earlier.tolist(), links.later.tolist(), strict=True):
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    return neighbours
