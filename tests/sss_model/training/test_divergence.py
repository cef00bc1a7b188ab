"""A training that diverges: what its user is told, and what is left."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.training.batches import Batches
from sss_model.training.learner import Learner
from sss_model.training.train import check_weights, finite_scalars, train

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("loss", [NAN, INFINITE])
def test_a_loss_that_is_no_number_is_one_sentence_with_the_step_and_what_to_try(
    loss: float, recipe: Callable[..., Config]
) -> None:
    settings = recipe({"train.precision": "bf16-mixed", "train.lr": 0.01}).train
    with pytest.raises(InputError) as caught:
        finite_scalars({"loss": torch.tensor(loss)}, step=21, settings=settings)
    sentence = str(caught.value)
    assert f"the loss is {loss} at step 21" in sentence
    assert "a lower train.lr than 0.01 or train.precision 32-true" in sentence


def test_a_scalar_that_does_not_apply_is_left_out(recipe: Callable[..., Config]) -> None:
    scalars = {"loss": torch.tensor(0.5), "accepted_RV": torch.tensor(NAN)}
    assert finite_scalars(scalars, step=1, settings=recipe().train) == {"loss": 0.5}


@pytest.mark.parametrize("broken", [NAN, INFINITE])
def test_one_weight_that_is_no_number_is_found(broken: float, recipe: Callable[..., Config]) -> None:
    good, bad = torch.zeros(3, 3), torch.zeros(4)
    check_weights([good], step=7, settings=recipe().train)
    bad[2] = broken
    with pytest.raises(InputError, match="weights are NaN or infinite at step 7; expected"):
        check_weights([good, bad], step=7, settings=recipe().train)


@pytest.fixture
def diverging(
    tmp_path: Path,
    phantom: Path,
    manifest: Manifest,
    recipe: Callable[..., Config],
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Trains until a step breaks the weights and, from then on, the loss; returns the sentence that it ends in."""
    learn = Learner.step

    def run(breaks_at: int, *, save_minutes: float) -> str:
        def step(learner: Learner, batches: Batches, *, step: int, progress: float) -> dict[str, Tensor]:
            scalars = learn(learner, batches, step=step, progress=progress)
            if step >= breaks_at:
                with torch.no_grad():
                    next(learner.weights).fill_(NAN)
                scalars["loss"] *= NAN
            return scalars

        monkeypatch.setattr(Learner, "step", step)
        settings = {"train.method": "supervised", "train.steps": 20, "train.val_every": 5}
        with pytest.raises(InputError) as caught:
            train(
                recipe({**settings, "train.save_minutes": save_minutes}),
                data_dir=phantom,
                manifest=manifest,
                output=tmp_path / "checkpoint",
                work_dir=tmp_path / "work",
                cache_dir=cache_dir,
                data_version="0",
                manifest_sha256="0",
            )
        assert not (tmp_path / "checkpoint").exists()
        return str(caught.value)

    return run


ALWAYS, NEVER = 1e-6, 1e3


# A step is logged, then saved; the eleventh is logged, the third is not.
@pytest.mark.parametrize(("breaks_at", "what"), [(10, "the loss is nan at step 11"), (2, "weights are NaN .* step 3")])
def test_what_was_saved_before_stays_and_can_be_gone_on_with(
    breaks_at: int, what: str, diverging: Callable[..., str], tmp_path: Path
) -> None:
    assert re.search(what, diverging(breaks_at, save_minutes=ALWAYS))
    saved = torch.load(tmp_path / "work" / "state.pt", weights_only=True)
    assert saved["step"] == breaks_at
    assert all(tensor.isfinite().all() for tensor in saved["learner"]["student"].values())


def test_weights_that_are_no_numbers_are_not_validated(diverging: Callable[..., str], tmp_path: Path) -> None:
    assert "weights are NaN or infinite at step 5" in diverging(3, save_minutes=NEVER)
    assert not (tmp_path / "work").exists()
