"""The gradient of a loss over a whole batch, where memory can't hold the whole batch's activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

Inputs = dict[str, Any]
"""A network's keyword arguments; tensors, also those in lists and dictionaries, have one row a slice."""
Outputs = dict[str, Tensor]
"""What a network says, one row a slice."""
Objective = Callable[[Outputs], dict[str, Tensor]]
"""From a batch's outputs to scalars, ``loss`` among them."""


def backward(
    network: _FabricModule, inputs: Inputs, objective: Objective, *, fabric: Fabric, micro_batch: int | None
) -> dict[str, Tensor]:
    """Add the gradient of the loss to the network's parameters.

    Args:
        inputs: of the whole batch; ``clip``, where there is one, says how many rows must stay together.
        micro_batch: how many slices pass through the network at once (whole clips, at least one); None for all.

    Returns:
        The scalars of `objective` for the whole batch.
    """
    if micro_batch is None or micro_batch >= len(inputs["images"]):
        scalars = objective(network(**inputs))
        fabric.backward(scalars["loss"])
        return scalars
    return _in_pieces(network, pieces(inputs, micro_batch), objective, fabric)


def pieces(inputs: Inputs, micro_batch: int | None) -> list[Inputs]:
    """Cut a batch into pieces of at most `micro_batch` slices, or into single clips where these are longer."""
    count, clip = len(inputs["images"]), inputs.get("clip", 1)
    size = count if micro_batch is None else max(micro_batch // clip, 1) * clip
    return [_rows(inputs, slice(start, start + size)) for start in range(0, count, size)]


def joined(outputs: list[Outputs]) -> Outputs:
    """The outputs of a batch's pieces as those of the whole batch."""
    return {name: torch.cat([piece[name] for piece in outputs]) for name in outputs[0]}


def _in_pieces(network: _FabricModule, parts: list[Inputs], objective: Objective, fabric: Fabric) -> dict[str, Tensor]:
    # Dice is a ratio of sums over the batch, so the pieces' own losses would add up to another loss. Instead, as in
    # gradient caching (Gao et al., 2021): a pass that keeps nothing makes all outputs, their loss gives the gradient by
    # each of them, and a second pass takes every piece's share of it back through the network.
    with torch.no_grad():
        outputs = joined([network(**part) for part in parts])
    leaves = {name: value.requires_grad_() for name, value in outputs.items() if value.is_floating_point()}
    scalars = objective(outputs)
    gradients = torch.autograd.grad(scalars["loss"], list(leaves.values()), allow_unused=True)
    wanted = {name: gradient for name, gradient in zip(leaves, gradients, strict=True) if gradient is not None}
    start = 0
    for number, part in enumerate(parts, start=1):
        rows = slice(start, start := start + len(part["images"]))
        # Processes exchange gradients once a step, with the last piece.
        with fabric.no_backward_sync(network, enabled=number < len(parts)):
            again = network(**part)
            share = [(again[name] * gradient[rows]).sum() for name, gradient in wanted.items()]
            fabric.backward(torch.stack(share).sum())
    return scalars


def _rows(value: Any, rows: slice) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {name: _rows(part, rows) for name, part in value.items()}
    if isinstance(value, list):
        return [_rows(part, rows) for part in value]
    return value
