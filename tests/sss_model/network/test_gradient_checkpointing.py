"""An encoder that computes activations again: the same gradients from less memory."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from sss_model.config import Config
from sss_model.network.encoder import ImageEncoder


def gradients(encoder: ImageEncoder, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients, and the bytes that the forward pass leaves for the backward pass, parameters not counted."""
    parameters = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    encoder.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = sum(feature.square().mean() for feature in encoder(images))
    held = sum(kept.values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}, held


@pytest.mark.parametrize(("size", "side"), [("micro", 96), ("tiny", 64)])
def test_gradients_stay_the_same_and_less_is_held(recipe: Callable[..., Config], size: str, side: int) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(recipe().model.model_copy(update={"encoder": size}))
    images = torch.randn(2, 3, side, side)
    names = list(encoder.state_dict())
    expected, held = gradients(encoder, images)
    encoder.recompute_activations()
    found, held_then = gradients(encoder, images)
    assert held_then < held / 2
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert list(encoder.state_dict()) == names


def test_gradients_stay_the_same_in_bfloat16(recipe: Callable[..., Config]) -> None:
    torch.manual_seed(0)
    encoder, images = ImageEncoder(recipe().model), torch.randn(2, 3, 64, 64)
    found = []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(gradients(encoder, images)[0])
        encoder.recompute_activations()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_copy_computes_with_its_own_weights(recipe: Callable[..., Config]) -> None:
    encoder, images = ImageEncoder(recipe().model), torch.randn(1, 3, 64, 64)
    encoder.recompute_activations()
    before = encoder(images)[0]
    twin = copy.deepcopy(encoder)
    for parameter in twin.sam.trunk.blocks.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(encoder(images)[0], before)
    assert not torch.equal(twin(images)[0], before)
