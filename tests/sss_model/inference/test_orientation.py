"""Which way up a network sees a scan best."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sss_model.config import Config, Predict
from sss_model.data.slice_position import volume_positions
from sss_model.inference.orientation import best_rotation, rotate, rotated_view
from sss_model.inference.predictor import average
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
