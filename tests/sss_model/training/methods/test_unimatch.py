from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sss_model.config import Config
from sss_model.data.slice_position import volume_positions
from sss_model.network.base import SegmenterOutput
from sss_model.training.batches import LabelledBatch, StrongView, UnlabelledBatch
from sss_model.training.cutmix import CutMix
from sss_model.training.methods import make_method
from sss_model.training.methods.unimatch import squared_dice_loss

B, S = 2, 32


def logits_for(target: torch.Tensor, sharpness: float = 20.0) -> torch.Tensor:
    return sharpness * torch.nn.functional.one_hot(target, 4).movedim(-1, 1).float()


def test_dice_counts_background_and_squares(recipe: Callable[..., Config]) -> None:
    target = torch.arange(4).repeat(B, S, S // 4)
    assert float(squared_dice_loss(logits_for(target), target)) == pytest.approx(0, abs=1e-3)
    # A uniform answer: overlap n/4 and size n (4/16 + 1) of each class's n pixels.
    assert float(squared_dice_loss(torch.zeros(B, 4, S, S), target)) == pytest.approx(
        1 - 2 * (1 / 4) / (4 / 16 + 1), abs=1e-4
    )


def test_pixels_that_are_not_kept_have_no_gradient() -> None:
    target = torch.randint(0, 4, (B, S, S), generator=torch.Generator().manual_seed(0))
    keep = torch.zeros(B, S, S, dtype=torch.bool)
    keep[:, :8] = True
    logits = torch.randn(B, 4, S, S).requires_grad_()
    loss = squared_dice_loss(logits, target, keep)
    loss.backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[:, :, 8:] == 0)
    alone = squared_dice_loss(logits.detach()[:, :, :8], target[:, :8])
    assert float(loss.detach()) == pytest.approx(float(alone))


@pytest.fixture
def batches() -> Any:
    """A labelled and an unlabelled batch whose truth is the image's first channel."""
    seeds, spacing = torch.arange(B), torch.ones(B, 3)
    images = torch.randint(0, 4, (B, 3, S, S), generator=torch.Generator().manual_seed(0)).float()
    unmixed = CutMix(torch.zeros(B, S, S, dtype=torch.bool), torch.zeros(B, dtype=torch.bool), clip=1)
    positions = volume_positions(B)
    labelled = LabelledBatch(images, images[:, 0].long(), spacing, positions, seeds)
    views = [StrongView(images, unmixed, positions, seeds)] * 2
    unlabelled = UnlabelledBatch(images, views, spacing, positions, clip=1, weak_seeds=seeds, plausible=None)
    return SimpleNamespace(
        labelled=lambda step, progress=0.0: labelled, unlabelled=lambda step, labelled, progress: unlabelled
    )


def test_the_terms_have_the_weights_of_the_authors(recipe: Callable[..., Config], batches: Any) -> None:
    method = make_method(recipe({"train.method": "unimatch", "train.unlabelled_from": 0, "train.ramp": 0}), ["a"] * 3)
    truth = logits_for(batches.labelled(0).labels)
    task = method.task(batches, lambda batch: SegmenterOutput(truth), step=0, progress=0.5)
    assert task.batch.perturbed is not None
    assert task.batch.perturbed.tolist() == [False] * B + [True] * B + [False] * 2 * B
    right = {"labelled": truth, "perturbed": truth, "first": truth, "second": truth}
    wrong = logits_for((batches.labelled(0).labels + 1) % 4)
    base = float(task.objective(SegmenterOutput(torch.cat(list(right.values()))))["loss"])
    cost = {
        name: float(task.objective(SegmenterOutput(torch.cat(list({**right, name: wrong}.values()))))["loss"]) - base
        for name in ("perturbed", "first", "second")
    }
    assert cost == pytest.approx({"perturbed": 0.25, "first": 0.125, "second": 0.125}, abs=0.01)


def test_the_network_teaches_itself_from_its_own_confidence_on(recipe: Callable[..., Config], batches: Any) -> None:
    config = recipe({"train.method": "unimatch", "train.confidence": 0.1, "train.unlabelled_from": 0, "train.ramp": 0})
    method = make_method(config, ["a", "b", "c"])
    assert method.self_taught
    # Of four classes, the sharpness 3 gives 0.87: enough for the recipe, too little for UniMatch's 0.95.
    unsure = logits_for(batches.labelled(0).labels, sharpness=3.0)
    task = method.task(batches, lambda batch: SegmenterOutput(unsure), step=0, progress=0.5)
    assert float(task.objective(SegmenterOutput(torch.cat([unsure] * 4)))["accepted"]) == 0
