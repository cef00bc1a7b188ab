"""Of each structure its one piece: what is left over from a wrong guess elsewhere in the scan goes."""

from __future__ import annotations

import cc3d
import torch
from torch import Tensor

from sss_model.config import Predict


def in_one_piece(probabilities: Tensor, config: Predict) -> Tensor:
    """Probabilities (D, classes, S, S) as a recipe makes masks of them: each class in one piece, or as they are."""
    return keep_largest(probabilities) if config.largest_component else probabilities


def keep_largest(probabilities: Tensor) -> Tensor:
    """Lay each class's probability on the background where the class's map is not of its largest component.

    Voxels are of one component where they touch by a face, an edge or a corner (26-connectivity).

    Args:
        probabilities: (D, classes, S, S), background first.

    Returns:
        The same shape; each voxel's sum is as it was.
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
