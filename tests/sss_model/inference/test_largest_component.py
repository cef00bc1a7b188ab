"""Each structure's largest component."""

from __future__ import annotations

import pytest
import torch

from sss_model.inference.largest_component import keep_largest_component


def certain(classes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float() * 0.8 + 0.1


@pytest.fixture
def classes() -> torch.Tensor:
    classes = torch.zeros(4, 16, 16, dtype=torch.long)
    classes[:, 2:6, 2:6] = 1
    classes[1, 3, 3] = 2
    classes[2, 4, 4] = 2  # touches the one above by a corner
    return classes


def test_a_stray_becomes_background(classes: torch.Tensor) -> None:
    strayed = classes.clone()
    strayed[0, 12:14, 12:14] = 1
    strayed[3, 10, 10] = 2
    probabilities = certain(strayed)
    kept = keep_largest_component(probabilities)
    assert torch.equal(kept.argmax(1), classes)
    assert torch.allclose(kept.sum(1), probabilities.sum(1))


def test_what_is_one_piece_stays_as_it_is(classes: torch.Tensor) -> None:
    assert torch.equal(keep_largest_component(certain(classes)), certain(classes))


def test_a_class_that_is_nowhere_is_no_error() -> None:
    nothing = certain(torch.zeros(2, 8, 8, dtype=torch.long))
    assert torch.equal(keep_largest_component(nothing), nothing)
