"""The feature decoder: its slice context, and DFE on two streams."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from support.every_method import TOLD
from torch import nn

from sss_model.config import Config
from sss_model.data.slice_position import volume_positions
from sss_model.network import build_network
from sss_model.network.base import ClipBatch
from sss_model.network.dfe import FeatureEnhancement, shared_and_specific
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


SIDES = (8, 4, 2)


def features(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 16, side, side, generator=generator) for side in SIDES]


@pytest.fixture
def random_weights() -> FeatureEnhancement:
    torch.manual_seed(0)
    module = FeatureEnhancement(channels=16, scales=3)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def test_it_starts_as_the_identity() -> None:
    own, other = features(0), features(1)
    enhanced = FeatureEnhancement(channels=16, scales=3)(own, other)
    assert all(torch.equal(before, after) for before, after in zip(own, enhanced, strict=True))


def test_every_scale_is_enhanced(random_weights: FeatureEnhancement) -> None:
    own = features(0)
    assert not any(torch.allclose(a, b) for a, b in zip(own, random_weights(own, features(1)), strict=True))


def test_exchanging_the_streams_exchanges_the_results(random_weights: FeatureEnhancement) -> None:
    weak, strong = features(0), features(1)
    both = random_weights(
        [torch.cat(pair) for pair in zip(weak, strong, strict=True)],
        [torch.cat(pair) for pair in zip(strong, weak, strict=True)],
    )
    swapped = random_weights(
        [torch.cat(pair) for pair in zip(strong, weak, strict=True)],
        [torch.cat(pair) for pair in zip(weak, strong, strict=True)],
    )
    for one, other in zip(both, swapped, strict=True):
        torch.testing.assert_close(one, other.roll(2, 0))


def test_the_shared_part_is_symmetric_and_the_specific_part_antisymmetric() -> None:
    weak, strong = features(0)[0], features(1)[0]
    (shared, specific), (shared_back, specific_back) = (
        shared_and_specific(weak, strong),
        shared_and_specific(strong, weak),
    )
    torch.testing.assert_close(shared, shared_back)
    torch.testing.assert_close(specific, -specific_back)
    assert specific.abs().max() > 0.1


def test_a_stream_paired_with_itself_has_no_specific_part() -> None:
    own = features(0)[0]
    shared, specific = shared_and_specific(own, own.clone())
    torch.testing.assert_close(shared, own)
    assert not specific.any()


def test_opposites_share_nothing() -> None:
    own = features(0)[0]
    shared, specific = shared_and_specific(own, -own)
    torch.testing.assert_close(shared, torch.zeros_like(own))
    torch.testing.assert_close(specific, 2 * own)


def test_features_of_zeros_have_finite_gradients(random_weights: FeatureEnhancement) -> None:
    empty = [torch.zeros(1, 16, side, side, requires_grad=True) for side in SIDES]
    torch.stack([part.sum() for part in random_weights(empty, [part.detach() for part in empty])]).sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in empty if part.grad is not None)


def test_without_a_partner_it_is_its_own_partner(random_weights: FeatureEnhancement) -> None:
    own = features(0)
    for alone, itself in zip(random_weights(own), random_weights(own, own), strict=True):
        torch.testing.assert_close(alone, itself)


def test_only_paired_slices_use_their_partner(random_weights: FeatureEnhancement) -> None:
    own, other = features(0), features(1)
    mixed = random_weights(own, other, torch.tensor([False, True]))
    for one, alone, met in zip(mixed, random_weights(own), random_weights(own, other), strict=True):
        torch.testing.assert_close(one, torch.stack([alone[0], met[1]]))


def test_no_gradient_passes_through_the_similarity() -> None:
    own, other = features(0)[0].requires_grad_(), features(1)[0]
    shared, specific = shared_and_specific(own, other)
    (gradient,) = torch.autograd.grad(shared.sum() + specific.sum(), own)
    alike = (1 + torch.cosine_similarity(own, other, dim=1)[:, None]) / 2
    torch.testing.assert_close(gradient, (1 - alike / 2).expand_as(own))
