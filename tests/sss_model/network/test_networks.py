"""The networks that segment slices one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sss_model.config import Config
from sss_model.data.slice_position import volume_positions
from sss_model.network import Network, build_network
from sss_model.network.base import ClipBatch, SliceDropout
from sss_model.network.segmenter import SamNetwork
from sss_model.network.unet import UNet


def noise(*seeds: int) -> SliceDropout:
    return SliceDropout(torch.tensor(seeds), torch.device("cpu"))


def test_the_share_is_dropped_and_the_mean_stays() -> None:
    dropped = noise(1, 2).drop(torch.ones(2, 16, 64, 64), 0.3)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert not torch.equal(dropped[0], dropped[1])


def test_channels_are_dropped_whole_in_the_chosen_slices() -> None:
    dropped = noise(1, 2).drop_channels(torch.ones(2, 64, 8, 8), 0.5, torch.tensor([True, False]))
    assert set(dropped[0].unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped[0], dropped[0, :, :1, :1].expand(64, 8, 8))
    assert torch.all(dropped[1] == 1)


def test_every_mask_is_the_next_of_the_slices_own_stream() -> None:
    x = torch.ones(1, 8, 16, 16)
    together, alone = noise(7, 9), noise(9)
    first, second = (together.drop(x.expand(2, -1, -1, -1), 0.5)[1] for _ in range(2))
    assert torch.equal(first, alone.drop(x, 0.5)[0])
    assert torch.equal(second, alone.drop(x, 0.5)[0])
    assert not torch.equal(first, second)


@pytest.fixture(
    params=[{"model.network": "sam2"}, {"model.network": "sam2", "model.context": True}, {"model.network": "unet"}],
    ids=["sam2", "sam2 with context", "unet"],
)
def build(request: pytest.FixtureRequest, recipe: Callable[..., Config]) -> Callable[..., Network]:
    def build(classes: int = 4, seed: int = 0) -> Network:
        return build_network(recipe({**request.param, "seed": seed}), classes=classes)

    return build


def with_a_random_head(network: Network) -> Network:
    """The network with a head that no longer says background everywhere."""
    head = network.decoder.head if isinstance(network, SamNetwork) else network.head
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    if isinstance(network, SamNetwork) and network.decoder.context is not None:
        for last in (network.decoder.context.channels, network.decoder.context.classes):
            torch.nn.init.normal_(last.weight, generator=torch.Generator().manual_seed(0))
    return network


def test_logits_have_the_size_of_the_slice(build: Callable[..., Network]) -> None:
    network = build(classes=5).eval()
    for side in (32, 96):
        logits = network(ClipBatch(torch.zeros(2, 3, side, side), volume_positions(2))).logits
        assert logits.shape == (2, 5, side, side)


def test_an_untrained_network_predicts_background(build: Callable[..., Network]) -> None:
    assert torch.all(build()(ClipBatch(torch.randn(2, 3, 64, 64), volume_positions(2))).logits.argmax(1) == 0)


def test_weights_depend_on_the_seed_alone(build: Callable[..., Network]) -> None:
    torch.manual_seed(123)
    first = build().state_dict()
    torch.manual_seed(321)
    again, other = build().state_dict(), build(seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_slice_is_segmented_alike_whatever_its_batch(build: Callable[..., Network]) -> None:
    network, batch = with_a_random_head(build()), ClipBatch(torch.randn(4, 3, 64, 64), volume_positions(4))
    for given in (batch, batch._replace(seeds=torch.arange(4))):
        whole, part = network(given).logits, network(given.rows(slice(2, None))).logits
        torch.testing.assert_close(whole[2:], part, atol=1e-3, rtol=1e-3)


def test_a_volume_is_segmented_alike_whatever_the_batch(build: Callable[..., Network]) -> None:
    network, images = with_a_random_head(build()).eval(), torch.randn(5, 3, 64, 64)
    with torch.inference_mode():
        whole, pieces = (network.segment(images, (8.0, 1.5, 1.5), batch=batch) for batch in (5, 2))
    torch.testing.assert_close(whole, pieces, atol=1e-3, rtol=1e-3)


def test_only_the_chosen_slices_are_perturbed(build: Callable[..., Network]) -> None:
    network, batch = (
        with_a_random_head(build()),
        ClipBatch(torch.randn(3, 3, 64, 64), volume_positions(3), torch.arange(3)),
    )
    plain = network(batch).logits
    perturbed = network(batch._replace(perturbed=torch.tensor([False, True, False]))).logits
    changed = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(plain, perturbed, strict=True)]
    assert changed == [False, True, False]


def test_after_two_steps_every_weight_has_moved(build: Callable[..., Network]) -> None:
    network = build()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # the head starts at zero, so the first step reaches only the head
        optimizer.zero_grad()
        logits = network(ClipBatch(torch.randn(2, 3, 64, 64), volume_positions(2))).logits
        torch.nn.functional.cross_entropy(logits, torch.ones(2, 64, 64).long()).backward()
        optimizer.step()
    assert [name for name, p in network.named_parameters() if torch.equal(p, before[name])] == []


def test_a_frozen_encoder_stays_as_it_is(recipe: Callable[..., Config]) -> None:
    network = build_network(recipe({"model.freeze_encoder": True}), classes=4)
    assert isinstance(network, SamNetwork)
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert all(p.requires_grad for p in network.decoder.parameters())


@pytest.fixture
def network() -> UNet:
    torch.manual_seed(0)
    network = UNet(classes=4, feature_dropout=0.5)
    torch.nn.init.normal_(network.head.weight)
    return network


def test_it_is_as_large_as_unimatchs(network: UNet) -> None:
    # SSL4MIS's U-Net for one channel and four classes has 1.81 million parameters.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1.81e6, rel=0.01)


def test_dropout_is_a_function_of_the_slices_seed(network: UNet) -> None:
    images = torch.randn(2, 3, 64, 64)
    first = network(ClipBatch(images, seeds=torch.tensor([3, 4]))).logits
    torch.randn(100)
    again = network(ClipBatch(images, seeds=torch.tensor([3, 4]))).logits
    other = network(ClipBatch(images, seeds=torch.tensor([3, 5]))).logits
    assert torch.equal(first, again)
    torch.testing.assert_close(first[0], other[0], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(first[1], other[1], atol=1e-3)


def test_nothing_is_dropped_without_seeds(network: UNet) -> None:
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(network.train()(ClipBatch(images)).logits, network.eval()(ClipBatch(images)).logits)


def test_it_holds_no_running_statistics(network: UNet) -> None:
    assert list(network.buffers()) == []
