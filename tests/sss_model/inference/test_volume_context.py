"""Orientation, rotation and proportions of whole volumes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.every_method import TOLD

from sss_model.config import Config, Predict
from sss_model.data.slice_position import volume_positions
from sss_model.data.slices import SliceSet
from sss_model.inference.orientation import best_rotation, rotate, rotated_view
from sss_model.inference.predictor import average
from sss_model.inference.volume_context import (
    all_predicted_proportions,
    best_rotations,
    labelled_proportions,
    proportions,
    volume_context,
)
from sss_model.training.teacher_findings import TeacherFindings, update_findings
from sss_model.training.views import draw_views, move_images, weak_grid


def bar(side: int = 32) -> torch.Tensor:
    """A volume of slices that show a bar right of the centre."""
    images = torch.zeros(5, 1, side, side)
    images[:, :, side // 2 - 3 : side // 2 + 3, side // 2 + 4 : side - 4] = 1
    return images


def knows_right(images: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
    """A network that is sure of what lies just right of the centre, and wavers elsewhere."""
    sure = torch.where(bar(images.shape[-1])[0, 0] > 0, 0.98, 0.6)
    foreground = torch.where(images[:, 0] > 0.5, sure, 0.01)
    return torch.stack([1 - foreground, foreground], 1).log()


@pytest.mark.parametrize("lies", [0, 45, 90, 135, 180, -45, -90, -135])
def test_a_scan_is_rotated_to_where_the_network_knows_it(lies: int) -> None:
    found = best_rotation(knows_right, rotate(bar(), lies), 8, size=32)
    assert (found + lies) % 360 == 0


def test_a_scan_that_looks_alike_all_round_stays_as_it_lies() -> None:
    assert best_rotation(knows_right, torch.zeros(3, 1, 32, 32), 8, size=32) == 0


def test_one_orientation_needs_no_prediction() -> None:
    assert best_rotation(lambda images, positions: pytest.fail("asked"), bar(), 1, size=32) == 0  # type: ignore[arg-type,return-value]


def test_to_see_nothing_for_sure_is_no_orientation() -> None:
    def wavers_and_misses_what_lies_up(images: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        foreground = 0.7 * (images[:, 0] > 0.5).float()
        foreground[:, : images.shape[-1] // 2 - 3] = 0
        return torch.stack([1 - foreground, foreground], 1).log()

    rotation = best_rotation(wavers_and_misses_what_lies_up, bar(), 4, size=32)
    assert wavers_and_misses_what_lies_up(rotate(bar(), rotation)).argmax(1).any()


def test_a_single_slice_is_its_own_middle() -> None:
    assert best_rotation(knows_right, rotate(bar()[:1], 90), 4, size=32) == -90


def test_the_slices_in_the_middle_are_told_to_lie_there() -> None:
    def hears(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        assert torch.equal(positions, volume_positions(5)[1:4])
        return knows_right(images)

    assert best_rotation(hears, rotate(bar(), 90), 4, size=32) == -90


def test_what_is_predicted_at_a_rotation_lies_as_the_scan_does() -> None:
    def probabilities(images: torch.Tensor) -> torch.Tensor:
        return knows_right(images).exp()

    scan, plain = rotate(bar(), 90), {"orientations": 1, "flips": False, "largest_component": False, "batch": 8}
    mean = average(probabilities, scan, Predict(rotations=[12.0], **plain), rotation=-90, size=32)
    assert (mean.argmax(1) == (scan[:, 0] > 0.5)).float().mean() > 0.98
    unrotated = average(probabilities, scan, Predict(rotations=[], **plain), size=32)
    assert mean.max(1).values.mean() > unrotated.max(1).values.mean()


def test_a_rotation_that_wins_by_little_is_not_made() -> None:
    def hardly_minds(images: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        sure = torch.where(bar(images.shape[-1])[0, 0] > 0, 0.9, 0.88)
        foreground = torch.where(images[:, 0] > 0.5, sure, 1e-6)
        return torch.stack([1 - foreground, foreground], 1).log()

    lies = rotate(bar(), 90)

    def doubt(degrees: float) -> float:
        probability = hardly_minds(rotate(lies, degrees)).exp()
        return float(-torch.xlogy(probability, probability).sum())

    assert 0.8 * doubt(0) < doubt(-90) < doubt(0)
    assert best_rotation(hardly_minds, lies, 4, size=32) == 0


def test_a_rotated_view_shows_what_lies_around_it_as_in_training(recipe: Callable[..., Config]) -> None:
    config = recipe(dict.fromkeys(("views.rotation_degrees", "views.scale", "views.shift", "views.local_zoom"), 0))
    canvas = torch.rand(2, 3, config.data.canvas, config.data.canvas)
    drawn = draw_views(seed=0, stream=0, step=0, batch=2)
    for degrees in (0.0, 20.0, 90.0):
        grid = weak_grid(drawn, config.views, data=config.data, rotations=torch.full((2,), degrees))
        shown = rotated_view(canvas, degrees, config.data.size)
        torch.testing.assert_close(shown, move_images(canvas, grid), atol=1e-4, rtol=1e-4)


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
