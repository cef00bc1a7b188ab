from __future__ import annotations

from collections.abc import Callable

import torch

from sss_model.config import Config
from sss_model.network import build_segmenter


def test_logits_have_the_size_of_the_slice(recipe: Callable[..., Config]) -> None:
    network = build_segmenter(recipe().model, classes=5, seed=0).eval()
    for side in (32, 96):
        assert network(torch.zeros(2, 3, side, side)).shape == (2, 5, side, side)


def test_an_untrained_network_says_background(recipe: Callable[..., Config]) -> None:
    network = build_segmenter(recipe().model, classes=4, seed=0)
    assert torch.all(network(torch.randn(2, 3, 64, 64)).argmax(1) == 0)


def test_weights_depend_on_the_seed_alone(recipe: Callable[..., Config]) -> None:
    torch.manual_seed(123)
    first = build_segmenter(recipe().model, classes=4, seed=0).state_dict()
    torch.manual_seed(321)
    again = build_segmenter(recipe().model, classes=4, seed=0).state_dict()
    other = build_segmenter(recipe().model, classes=4, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_slice_is_segmented_alike_whatever_its_batch(recipe: Callable[..., Config]) -> None:
    network = build_segmenter(recipe().model, classes=4, seed=0)
    torch.nn.init.normal_(network.decoder.head.weight)
    images = torch.randn(4, 3, 64, 64)
    assert torch.allclose(network(images)[:1], network(images[:1]), atol=1e-4)


def test_after_two_steps_every_weight_has_moved(recipe: Callable[..., Config]) -> None:
    network = build_segmenter(recipe().model, classes=4, seed=0)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # the head starts at zero, so the first step reaches only the head
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.randn(2, 3, 64, 64)), torch.ones(2, 64, 64).long()).backward()
        optimizer.step()
    assert [name for name, p in network.named_parameters() if torch.equal(p, before[name])] == []


def test_a_frozen_encoder_stays_as_it_is(recipe: Callable[..., Config]) -> None:
    network = build_segmenter(recipe({"model.freeze_encoder": True}).model, classes=4, seed=0)
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert all(p.requires_grad for p in network.decoder.parameters())
