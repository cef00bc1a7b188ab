"""Where slices lie in their volume."""

from __future__ import annotations

import numpy as np
import torch

from sss_model.data.slice_position import volume_places
from sss_model.data.slices import SliceSet


def test_places_run_from_the_first_slice_to_the_last() -> None:
    expected = [[-1.0, 1.0, -1.0], [0.0, -1.0, -1.0], [1.0, -1.0, 1.0]]
    assert volume_places(3).tolist() == expected


def test_an_only_slice_is_first_last_and_in_the_middle() -> None:
    assert volume_places(1).tolist() == [[0.0, 1.0, 1.0]]


def test_a_set_tells_each_slice_its_place_in_its_own_case() -> None:
    scans = [np.zeros((depth, 4, 4), np.float16) for depth in (3, 5)]
    slices = SliceSet(scans, None, neighbours=True, distances=[8.0, 8.0])
    assert torch.equal(slices.places(np.array([7, 0, 2])), torch.cat([volume_places(5)[4:], volume_places(3)[[0, 2]]]))
