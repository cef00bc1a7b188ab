"""Removal of stray components: each structure keeps its largest one."""

from __future__ import annotations

import cc3d
import torch
from torch import Tensor


def keep_largest_component(probabilities: Tensor) -> Tensor:
    """Move the probability of each class to the background outside the largest component of the class's map.

    Components are 26-connected: voxels that share a face, an edge or a corner belong together.

    Args:
        probabilities: (D, classes, S, S), background first.

    Returns:
        The same shape; the sum at each voxel is unchanged.
    """
    classes = probabilities.argmax(1)
    kept = probabilities.clone()
    for index in range(1, probabilities.shape[1]):
        of_class = classes == index
        largest = cc3d.largest_k(of_class.cpu().numpy(), k=1, connectivity=26, binary_image=True) > 0
        strays = of_class & ~torch.from_numpy(largest).to(of_class.device)
        kept[:, 0][strays] += probabilities[:, index][strays]
        kept[:, index][strays] = 0
    return kept
