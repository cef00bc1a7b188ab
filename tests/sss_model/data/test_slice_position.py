"""Positions of slices in their volume."""

from __future__ import annotations

import numpy as np
import torch

from sss_model.data.slice_position import volume_positions
from sss_model.data.slices import SliceSet


def test_positions_run_from_the_first_slice_to_the_last() -> None:
    expected = [[-1.0, 1.0, -1.0], [0.0, -1.0, -1.0], [1.0, -1.0, 1.0]]
    assert volume_positions(3).tolist() == expected


def test_an_only_slice_is_first_last_and_in_the_middle() -> None:
    assert volume_positions(1).tolist() == [[0.0, 1.0, 1.0]]


def test_a_set_gives_each_slice_its_position_in_its_own_case() -> None:
    scans = [np.zeros((depth, 4, 4), np.float16) for depth in (3, 5)]
    slices = SliceSet(scans, None, neighbours=True, distances=[8.0, 8.0])
    assert torch.equal(
        slices.slice_position(np.array([7, 0, 2])), torch.cat([volume_positions(5)[4:], volume_positions(3)[[0, 2]]])
    )
