"""The gradient of a loss over a whole batch that passes through the network in pieces, to save memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

from sss_model.network.base import ClipBatch, SegmenterOutput, map_tensors, tensors_of

Objective = Callable[[SegmenterOutput], dict[str, Tensor]]
"""From a whole batch's outputs to scalars, ``loss`` among them."""


def backward_in_pieces(
    network: _FabricModule, batch: ClipBatch, objective: Objective, *, fabric: Fabric, micro_batch: int | None
) -> dict[str, Tensor]:
    """Add the gradient of the whole batch's loss to the network's parameters.

    Args:
        micro_batch: slices that pass through the network at once (whole clips, at least one); None for all.

    Returns:
        The scalars of `objective` for the whole batch.
    """
    if micro_batch is None or micro_batch >= batch.size:
        scalars = objective(network(batch))
        fabric.backward(scalars["loss"])
        return scalars
    return _two_passes(network, cut(batch, micro_batch), objective, fabric)


def cut(batch: ClipBatch, micro_batch: int | None) -> list[ClipBatch]:
    """Cut a batch into pieces of at most `micro_batch` slices, or into single clips where these are longer.

    >>> [piece.size for piece in cut(ClipBatch(torch.zeros(8, 3, 32, 32), clip=2), 5)]
    [4, 4]
    """
    size = batch.size if micro_batch is None else max(micro_batch // batch.clip, 1) * batch.clip
    return [batch.rows(slice(start, start + size)) for start in range(0, batch.size, size)]


def concatenated(outputs: Sequence[SegmenterOutput]) -> SegmenterOutput:
    """The outputs of a batch's pieces as those of the whole batch."""
    return map_tensors(lambda *parts: torch.cat(parts), *outputs)


def _two_passes(
    network: _FabricModule, pieces: list[ClipBatch], objective: Objective, fabric: Fabric
) -> dict[str, Tensor]:
    # Dice is a ratio of sums over the batch, so the gradients of the pieces' own losses would not add up to that of the
    # batch's loss. Instead, as in gradient caching (Gao et al., 2021): a pass without activations computes all outputs;
    # the loss gives the gradient by each of them; a second pass takes each piece's share of it through the network.
    with torch.no_grad():
        outputs = concatenated([network(piece) for piece in pieces])
    leaves = [tensor.requires_grad_() for tensor in tensors_of(outputs) if tensor.is_floating_point()]
    scalars = objective(outputs)
    gradients = torch.autograd.grad(scalars["loss"], leaves, allow_unused=True)
    start = 0
    for number, piece in enumerate(pieces, start=1):
        rows = slice(start, start := start + piece.size)
        # Processes exchange gradients once a step, with the last piece.
        with fabric.no_backward_sync(network, enabled=number < len(pieces)):
            recomputed = [tensor for tensor in tensors_of(network(piece)) if tensor.is_floating_point()]
            pairs = zip(recomputed, gradients, strict=True)
            shares = [(tensor * gradient[rows]).sum() for tensor, gradient in pairs if gradient is not None]
            fabric.backward(torch.stack(shares).sum())
    return scalars
