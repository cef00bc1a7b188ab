from __future__ import annotations

import pytest
import torch

from sss_model.network.base import SliceDropout


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
