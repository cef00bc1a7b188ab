"""Rotation and proportions of whole volumes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from support.every_method import TOLD

from sss_model.config import Config
from sss_model.data.slices import SliceSet
from sss_model.inference.volume_context import (
    all_predicted_proportions,
    best_rotations,
    labelled_proportions,
    proportions,
    volume_context,
)
from sss_model.training.teacher_findings import TeacherFindings, update_findings

CPU = torch.device("cpu")


def knows_the_upper_half(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is sure of what is bright in the upper half, and wavers about the lower one's."""
    upper = torch.arange(images.shape[-2])[:, None] < images.shape[-2] // 2
    foreground = torch.where(images[:, 1] > 0.5, torch.where(upper, 10.0, 0.5), -10.0)
    return torch.stack([-foreground, foreground], 1)


def test_each_scan_has_a_rotation_of_its_own(recipe: Callable[..., Config]) -> None:
    config = recipe({"predict.orientations": 4})
    side = config.data.canvas
    upright = np.zeros((5, side, side), np.float16)
    upright[:, side // 4 : side // 2 - 4, side // 2 - 4 : side // 2 + 4] = 1
    scans = [np.ascontiguousarray(np.rot90(upright, quarters, axes=(1, 2))) for quarters in (0, 1, 2, 3)]
    slices = SliceSet(scans, None, neighbours=True, distances=[8.0] * 4)
    found = best_rotations(knows_the_upper_half, slices, config, CPU)
    assert found == [0, -90, 180, 90]


def reads(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits of a network that reads classes 0 to 2 off the slices."""
    classes = images[:, 1].round().long().clamp(0, 2)
    return 50 * torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()


def halves(side: int) -> SliceSet:
    """Two volumes: the middle of one is half of class 1 and half of 2, the other's three quarters of 1; ends are 2."""
    cases = []
    for columns in (side // 2, 3 * side // 4):
        case = np.full((8, side, side), 2, np.uint8)
        case[2:6, :, :columns] = 1
        cases.append(case)
    return SliceSet([case.astype(np.float16) for case in cases], cases, neighbours=False, distances=[8.0] * 2)


def test_proportions_are_shares_of_the_foreground() -> None:
    seen = torch.zeros(2, 4, 8, 8)
    seen[:, 0] = 1
    assert proportions(seen).tolist() == [0, 0, 0]
    seen[0, :, :2] = torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None, None]
    assert proportions(seen).tolist() == [4, -2, -2]
    seen[1, :, :4] = torch.tensor([0.0, 0.0, 0.5, 0.5])[:, None, None]
    assert torch.allclose(proportions(seen), torch.zeros(3))


def test_predicted_proportions_are_those_of_the_labels(recipe: Callable[..., Config]) -> None:
    config = recipe(TOLD)
    slices = halves(config.data.size)
    by_labels = labelled_proportions(slices, 3)
    torch.testing.assert_close(by_labels, torch.tensor([[0.0, 0.0], [1.0, -1.0]]))
    torch.testing.assert_close(all_predicted_proportions(reads, slices, None, config, CPU), by_labels)
    seen = volume_context(reads, slices.image(slices.case(1)), config)
    assert (seen.rotation, seen.proportions.tolist() if seen.proportions is not None else None) == (0, [1, -1])


def test_proportions_are_left_out_where_the_network_does_not_use_them(recipe: Callable[..., Config]) -> None:
    config = recipe()
    slices = halves(config.data.size)
    assert volume_context(reads, slices.image(slices.case(0)), config).proportions is None
    assert (
        update_findings(
            TeacherFindings(), progress=0.9, predict_slices=reads, slices=slices, config=config, device=CPU
        ).proportions
        is None
    )


def test_the_teacher_predicts_proportions_when_they_are_due(recipe: Callable[..., Config]) -> None:
    config = recipe({"train.method": "weak_to_strong", **TOLD})
    slices, looks = halves(config.data.size), list[int]()

    def predict_slices(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        looks.append(len(images))
        return reads(images, positions)

    findings = TeacherFindings()
    for progress, expected in ((0.1, 0), (0.2, 2), (0.5, 2), (0.7, 4), (0.9, 4)):
        findings = update_findings(
            findings, progress=progress, predict_slices=predict_slices, slices=slices, config=config, device=CPU
        )
        assert len(looks) == expected
    assert findings.proportions is not None
    assert findings.proportion_checks == 2
