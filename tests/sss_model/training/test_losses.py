from __future__ import annotations

import pytest
import torch

from sss_model.training.losses import pseudo_labels, segmentation_loss


def logits_for(target: torch.Tensor, classes: int, sharpness: float) -> torch.Tensor:
    return sharpness * torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()


@pytest.fixture
def target() -> torch.Tensor:
    return torch.randint(0, 4, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def test_confident_and_right_logits_have_no_loss(target: torch.Tensor) -> None:
    assert float(segmentation_loss(logits_for(target, 4, 50.0), target)) == pytest.approx(0, abs=1e-3)


def test_confident_and_wrong_logits_have_more_loss_than_uniform_ones(target: torch.Tensor) -> None:
    wrong = segmentation_loss(logits_for((target + 1) % 4, 4, 10.0), target)
    unsure = segmentation_loss(torch.zeros(2, 4, 16, 16), target)
    assert wrong > unsure > 0.5


def test_pixels_that_are_not_kept_have_no_gradient(target: torch.Tensor) -> None:
    keep = torch.zeros_like(target, dtype=torch.bool)
    keep[:, :8] = True
    logits = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = segmentation_loss(logits, target, keep)
    loss.backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[:, :, 8:] == 0)
    assert torch.any(logits.grad[:, :, :8] != 0)
    alone = segmentation_loss(logits.detach()[:, :, :8], target[:, :8])
    assert float(loss.detach()) == pytest.approx(float(alone), rel=1e-5)


def test_keeping_nothing_gives_no_loss_and_no_gradient(target: torch.Tensor) -> None:
    logits = torch.randn(2, 4, 16, 16).requires_grad_()
    loss = segmentation_loss(logits, target, torch.zeros_like(target, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert torch.all(logits.grad == 0)


def test_pseudo_labels_are_kept_where_the_teacher_is_confident() -> None:
    probability = torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.05, 0.05, 0.9]]).log()
    classes, kept = pseudo_labels(probability.T[None, :, None, :], confidence=0.89)
    assert classes.flatten().tolist() == [0, 0, 2]
    assert kept.flatten().tolist() == [True, False, True]
