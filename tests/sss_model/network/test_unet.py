from __future__ import annotations

import pytest
import torch

from sss_model.network.unet import UNet


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
    first = network(images=images, seeds=torch.tensor([3, 4]))["logits"]
    torch.randn(100)
    again = network(images=images, seeds=torch.tensor([3, 4]))["logits"]
    other = network(images=images, seeds=torch.tensor([3, 5]))["logits"]
    assert torch.equal(first, again)
    torch.testing.assert_close(first[0], other[0], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(first[1], other[1], atol=1e-3)


def test_nothing_is_dropped_without_seeds(network: UNet) -> None:
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(network.train()(images=images)["logits"], network.eval()(images=images)["logits"])


def test_it_holds_no_running_statistics(network: UNet) -> None:
    assert list(network.buffers()) == []
