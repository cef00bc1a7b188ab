"""The feature decoder's slice context."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from support.every_method import TOLD

from sss_model.config import Config
from sss_model.data.slice_position import volume_positions
from sss_model.network import build_network
from sss_model.network.base import ClipBatch
from sss_model.network.feature_decoder import SliceContext
from sss_model.network.segmenter import SamNetwork

DEEP, FINE, CLASSES = 16, 8, 4


def a_trained_context() -> SliceContext:
    return with_random_weights(SliceContext(deep=DEEP, fine=FINE, classes=CLASSES, proportions=True))


def with_random_weights(context: SliceContext) -> SliceContext:
    generator = torch.Generator().manual_seed(0)
    for weight in context.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    return context


def test_context_starts_as_the_identity(recipe: Callable[..., Config]) -> None:
    plain, told = (build_network(recipe({"model.context": context}), classes=CLASSES) for context in (False, True))
    assert isinstance(plain, SamNetwork)
    assert isinstance(told, SamNetwork)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(plain.decoder.head.weight, generator=generator)
    told.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    torch.testing.assert_close(told(ClipBatch(images, volume_positions(2))).logits, plain(ClipBatch(images)).logits)


def test_without_proportions_the_context_has_no_weights_for_them() -> None:
    context = SliceContext(deep=DEEP, fine=FINE, classes=CLASSES, proportions=False)
    layers = ("look.0", "channels", "classes")
    assert context.state_dict().keys() == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def test_context_keeps_the_mean_that_instance_normalisation_removes() -> None:
    context, generator = a_trained_context(), torch.Generator().manual_seed(0)
    deepest = torch.randn(1, DEEP, 4, 4, generator=generator)
    brighter = deepest + torch.randn(1, DEEP, 1, 1, generator=generator)
    normalised = torch.nn.functional.instance_norm(torch.cat([deepest, brighter]))
    torch.testing.assert_close(normalised[0], normalised[1], atol=1e-4, rtol=1e-3)
    assert all(
        (part[0] - part[1]).abs().max() > 0.1
        for part in context(torch.cat([deepest, brighter]), volume_positions(3)[1:2].expand(2, 3))
    )


def test_context_does_not_depend_on_where_in_the_slice_features_are() -> None:
    context, deepest = a_trained_context(), torch.randn(3, DEEP, 4, 4, generator=torch.Generator().manual_seed(0))
    moved = deepest.roll((1, 2), (2, 3))
    for here, there in zip(context(deepest, volume_positions(3)), context(moved, volume_positions(3)), strict=True):
        torch.testing.assert_close(here, there)


def test_modulation_differs_along_the_volume() -> None:
    context, deepest = a_trained_context(), torch.randn(1, DEEP, 4, 4, generator=torch.Generator().manual_seed(0))
    for part in context(deepest.expand(5, -1, -1, -1), volume_positions(5)):
        assert all((one - other).abs().max() > 1e-3 for one, other in pairwise(part))


def test_modulation_differs_at_both_ends_of_the_volume() -> None:
    context, deepest = a_trained_context(), torch.randn(1, DEEP, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # What lies between differs in nothing but how far along its volume it is.
        context.get_parameter("look.0.weight")[:, DEEP] = 0
    for first, *between, last in context(deepest.expand(5, -1, -1, -1), volume_positions(5)):
        assert all(torch.equal(between[0], one) for one in between)
        assert all((between[0] - end).abs().max() > 1e-3 for end in (first, last))
        assert (first - last).abs().max() > 1e-3


def test_modulation_depends_on_proportions_where_they_are_known() -> None:
    context, deepest = a_trained_context(), torch.randn(2, DEEP, 4, 4, generator=torch.Generator().manual_seed(0))
    unknown = context(deepest, volume_positions(2))
    for part, other in zip(unknown, context(deepest, volume_positions(2, proportions=torch.zeros(3))), strict=True):
        assert torch.equal(part, other)
    for part, other in zip(unknown, context(deepest, volume_positions(2, proportions=torch.ones(3))), strict=True):
        assert (part - other).abs().max() > 0.1


@pytest.mark.parametrize("method", ["weak_to_strong", "sss"])
def test_slices_of_a_volume_get_their_positions_and_proportions(recipe: Callable[..., Config], method: str) -> None:
    network = build_network(recipe({"train.method": method, "sss.memory": False, **TOLD}), classes=CLASSES).eval()
    assert isinstance(network, SamNetwork)
    assert network.decoder.context is not None
    with_random_weights(network.decoder.context)
    alike = torch.zeros(5, 3, 64, 64)
    with torch.inference_mode():
        whole = network.segment(alike, (8.0, 1.5, 1.5), batch=2)
        torch.testing.assert_close(whole, network.predict_slices(alike, volume_positions(5)), atol=1e-4, rtol=1e-4)
        made_of = network.segment(alike, (8.0, 1.5, 1.5), batch=2, proportions=torch.ones(3))
    assert not torch.allclose(whole, made_of)
    assert not torch.allclose(whole[0], whole[1])
