"""PCSW's verdict on whole volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from sss_model.config import Config
from sss_model.data.slices import SliceSet
from sss_model.training.teacher_findings import TeacherFindings, update_findings, volume_check

CPU = torch.device("cpu")


def predicts_what_is_bright(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits of a network for which all that is bright is of class 1."""
    seen = torch.where(images[:, 1] > 0.5, 10.0, -10.0)
    return torch.stack([-seen, seen], 1)


def scans(side: int) -> SliceSet:
    """Two volumes with a bright tube; the second also has a speck in one slice."""
    tube = np.zeros((6, side, side), np.float16)
    tube[:, side // 2 - 8 : side // 2 + 4, side // 2 - 8 : side // 2 + 4] = 1
    specked = tube.copy()
    specked[3, side // 2 + 10 : side // 2 + 16, side // 2 + 10 : side // 2 + 16] = 1
    return SliceSet([tube, specked], None, neighbours=True, distances=[8.0, 8.0])


def test_a_speck_is_rejected_where_it_lies(recipe: Callable[..., Config]) -> None:
    config = recipe({"train.method": "sss"})
    slices = scans(config.data.canvas)
    for turns in (None, [0.0, 90.0]):
        rejected = volume_check(predicts_what_is_bright, slices, config, CPU, orientations=turns)
        assert rejected.shape == (12, config.data.canvas, config.data.canvas)
        expected = torch.zeros_like(rejected)
        middle = config.data.canvas // 2
        expected[9, middle + 10 : middle + 16, middle + 10 : middle + 16] = 1
        assert torch.equal(rejected, expected)


def test_volume_checks_are_made_when_they_are_due_and_once(recipe: Callable[..., Config]) -> None:
    config = recipe(
        {
            "train.method": "sss",
            "pcsw.volume_checks": [0.3, 0.6],
            "predict.orientations": 4,
            "train.orientation_from": 0.5,
        }
    )
    slices, looks = scans(config.data.canvas), list[int]()

    def predict_slices(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        looks.append(len(images))
        return predicts_what_is_bright(images, positions)

    def found(findings: TeacherFindings, progress: float) -> tuple[TeacherFindings, int]:
        looks.clear()
        new = update_findings(
            findings, progress=progress, predict_slices=predict_slices, slices=slices, config=config, device=CPU
        )
        return new, len(looks)

    findings, looked = found(TeacherFindings(), 0.2)
    assert (findings, looked) == (TeacherFindings(), 0)
    findings, looked = found(findings, 0.3)
    assert (findings.orientations, findings.volume_checks, looked) == (None, 1, 2)
    assert found(findings, 0.4) == (findings, 0)
    findings, looked = found(findings, 0.7)
    assert (findings.orientations, findings.volume_checks, looked) == ([0.0, 0.0], 2, 2 * 4 + 2)
    # One that was killed before and goes on late makes the last one only.
    assert found(replace(findings, volume_checks=0), 0.9)[1] == 2


def test_other_methods_make_no_volume_checks(recipe: Callable[..., Config]) -> None:
    for changes in ({"train.method": "weak_to_strong"}, {"train.method": "sss", "pcsw.enabled": False}):
        assert recipe({"pcsw.volume_checks": [0.1], **changes}).volume_checks == []
