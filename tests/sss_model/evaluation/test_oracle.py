"""Prompts from labels: what they give away, and that what comes of them says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.evaluation.oracle import box_prompts, oracle_scores
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume
from sss_model.network.prompts import BOX_CORNER, BOX_OPPOSITE, POINT_INSIDE


def drawn() -> np.ndarray:
    """Five slices with an L of class 1; class 2 on the first alone."""
    labels = np.zeros((5, 32, 32), np.uint8)
    labels[:, 8:20, 4] = labels[:, 19, 4:12] = 1
    labels[0, 28:30, 28:32] = 2
    return labels


def test_a_box_is_tight_in_sams_frame_and_says_no_more_than_itself() -> None:
    prompts = box_prompts(drawn(), foreground=2, every=1)
    assert prompts.points[0, 0, 0].tolist() == [[7.5, 13.5], [3.5, 7.5], [11.5, 19.5]]
    assert prompts.labels[0, 0, 0].tolist() == [POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE]
    inside = prompts.masks[0, 0, 0]
    assert (inside[2:5, 1:3] == 1).all()
    assert inside.sum() == 6  # all of the box, though the structure is an L


@pytest.mark.parametrize(("every", "slices"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (4, [0, 4]), (9, [0])])
def test_every_so_many_slices_are_prompted(every: int, slices: list[int]) -> None:
    used = box_prompts(drawn(), foreground=2, every=every).used[:, :, 0]
    assert used[:, 0].nonzero()[:, 0].tolist() == slices
    assert used[:, 1].nonzero()[:, 0].tolist() == [0]


@pytest.fixture(scope="module")
def prompted(train_phantom: Callable[..., Path]) -> Path:
    """A checkpoint of method sss; not to be changed."""
    return train_phantom({"train.method": "sss", "train.steps": 2})


def test_every_row_says_oracle(prompted: Path, phantom: Path, manifest: Manifest) -> None:
    scores = oracle_scores(prompted, data_dir=phantom, manifest=manifest, every=2)
    assert {score.prompt_source for score in scores} == {"oracle"}
    assert {score.case for score in scores} == {case.case for case in manifest.split("test")}


def test_the_prompts_reach_the_memory_decoder(prompted: Path, phantom: Path, manifest: Manifest) -> None:
    predictor = Predictor(load_checkpoint(prompted))
    network = predictor._network
    with torch.no_grad():
        network.gate.fill_(20.0)
        network.memory.sam_mask_decoder.conv_s0.bias.add_(0.1)
    volume = read_volume(phantom / manifest.split("test")[0].image)
    size = predictor.checkpoint.config.data.size
    labels = np.zeros((volume.array.shape[volume.slice_axis], size, size), np.uint8)
    labels[:, 10:50, 10:50] = 1
    classes = len(manifest.labels) - 1
    with_box = predictor.segment_prompted(volume, box_prompts(labels, foreground=classes, every=1))
    without = predictor.segment_prompted(volume, box_prompts(0 * labels, foreground=classes, every=1))
    assert not np.array_equal(with_box.confidence, without.confidence)
    assert with_box.mask.array.shape == volume.array.shape


def test_a_method_without_prompts_refuses_them(checkpoint: Path, phantom: Path, manifest: Manifest) -> None:
    with pytest.raises(InputError, match="method weak_to_strong takes no prompt; expected sss"):
        oracle_scores(checkpoint, data_dir=phantom, manifest=manifest, every=2)
