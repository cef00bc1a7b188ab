"""The gradient of a loss over a whole batch, where memory can't hold the whole batch's activations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

Objective = Callable[[Tensor], dict[str, Tensor]]
"""From a batch's logits to scalars, ``loss`` among them."""


def backward(
    network: _FabricModule, images: Tensor, objective: Objective, *, fabric: Fabric, micro_batch: int | None
) -> dict[str, Tensor]:
    """Add the gradient of the loss to the network's parameters.

    Args:
        images: (B, 3, S, S).
        micro_batch: how many of them pass through the network at once; None for all.

    Returns:
        The scalars of `objective` for the whole batch.
    """
    if micro_batch is None or micro_batch >= len(images):
        scalars = objective(network(images))
        fabric.backward(scalars["loss"])
        return scalars
    return _in_pieces(network, images.split(micro_batch), objective, fabric)


def _in_pieces(
    network: _FabricModule, pieces: tuple[Tensor, ...], objective: Objective, fabric: Fabric
) -> dict[str, Tensor]:
    # Dice is a ratio of sums over the batch, so the pieces' own losses would add up to another loss. Instead, as in
    # gradient caching (Gao et al., 2021): a pass that keeps nothing makes all logits, their loss gives the gradient by
    # each logit, and a second pass takes every piece's share of it back through the network.
    with torch.no_grad():
        logits = torch.cat([network(piece) for piece in pieces])
    scalars = objective(logits.requires_grad_())
    (gradient,) = torch.autograd.grad(scalars["loss"], logits)
    shares = gradient.split(len(pieces[0]))
    for number, (piece, share) in enumerate(zip(pieces, shares, strict=True), start=1):
        # Processes exchange gradients once a step, with the last piece.
        with fabric.no_backward_sync(network, enabled=number < len(pieces)):
            fabric.backward(network(piece), gradient=share)
    return scalars
