"""DFE: what two streams share, and what is each one's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sss_model.network.dfe import FeatureEnhancement, shared_and_specific

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
