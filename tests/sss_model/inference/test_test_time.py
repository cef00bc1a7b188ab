"""Several looks at the same slices."""

from __future__ import annotations

import pytest
import torch

from sss_model.config import Predict
from sss_model.inference.orientation import rotate
from sss_model.inference.predictor import average


def disc_at(row: int, column: int, side: int = 32) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    near = ((rows - row) ** 2 + (columns - column) ** 2 < 16).float()
    return torch.stack([1 - near, near])[None]


def centre(probabilities: torch.Tensor) -> tuple[float, float]:
    weight = probabilities[0, 1]
    places = torch.arange(weight.shape[0], dtype=torch.float32) + 0.5
    return float((weight.sum(1) * places).sum() / weight.sum()), float((weight.sum(0) * places).sum() / weight.sum())


@pytest.mark.parametrize(
    ("flips", "rotations", "looks"), [(False, [], 1), (True, [], 4), (False, [12.0, 24.0], 5), (True, [90.0], 6)]
)
def test_every_look_is_turned_back(flips: bool, rotations: list[float], looks: int) -> None:
    image = disc_at(10, 19)
    seen = []

    def segment(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images

    mean = average(
        segment,
        image,
        Predict(orientations=1, flips=flips, rotations=rotations, largest_component=False, batch=1),
        size=32,
    )
    assert len(seen) == looks
    assert all(not torch.allclose(seen[0], other) for other in seen[1:])
    assert centre(mean) == pytest.approx(centre(image), abs=0.3)
    torch.testing.assert_close(mean.sum(1), torch.ones(1, 32, 32))


def test_a_quarter_turn_is_exact() -> None:
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(rotate(image, 90), torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=1e-4)
