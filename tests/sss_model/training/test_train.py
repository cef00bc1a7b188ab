"""Trainings as their users have them: in processes that are killed, stopped and started side by side."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support.every_method import EVERY_METHOD, METHODS_OF_MINUTES, confident_from
from torch import Tensor

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config, dump_config
from sss_model.data.manifest import Manifest, build_manifest, cohort
from sss_model.data.phantom import write_phantom
from sss_model.errors import InputError
from sss_model.training.batches import Batches
from sss_model.training.learner import Learner
from sss_model.training.train import check_weights, finite_scalars, train

SCRIPT = """
import sys, time
from pathlib import Path
import yaml
import sss_model.training.teacher_findings as finding
import sss_model.training.train as module
from sss_model.config import load_config
from sss_model.data.manifest import build_manifest
folder, data, cache, pause = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
module._LOG_EVERY = 1
best_rotations = finding.best_rotations
def quarter_rotations(*arguments):  # so short a training finds no orientation
    with (folder / "rotated").open("a") as file:
        file.write("once ")
    return [90.0 * (case % 4) for case, _ in enumerate(best_rotations(*arguments))]
finding.best_rotations = quarter_rotations
def slow_down(step, metrics):
    (folder / "alive").write_text(str(step))
    time.sleep(pause)
module.train(load_config(folder / "params.yaml"), data_dir=data, manifest=build_manifest(data),
    output=folder / "checkpoint", work_dir=folder / "work", cache_dir=cache, data_version="0", manifest_sha256="0",
    on_metrics=slow_down)
"""

# Seconds after which something hangs, however busy the machine.
PATIENCE = 600


@pytest.fixture
def launch(
    tmp_path: Path, phantom: Path, cache_dir: Path, recipe: Callable[..., Config]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a training in a process of its own, in the folder `name`; `pause` slows every step down."""
    import yaml

    started: list[subprocess.Popen[str]] = []

    def start(
        name: str, overrides: dict[str, Any], *, pause: float = 0, processes: int = 1, data: Path = phantom
    ) -> subprocess.Popen[str]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(dump_config(recipe(overrides))))
        (tmp_path / "script.py").write_text(SCRIPT)
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(torchrun if processes > 1 else []), str(tmp_path / "script.py")]
        arguments = [str(folder), str(data), str(cache_dir), str(pause)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command + arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def wait_for_step(folder: Path, step: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        alive = folder / "alive"
        if alive.exists() and (text := alive.read_text()) and int(text) >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within {PATIENCE} s")


def same_weights(first: Path, second: Path) -> bool:
    a, b = (load_checkpoint(folder).weights for folder in (first, second))
    return all(torch.equal(a[name], b[name]) for name in a)


QUICK_SAVES = {"train.steps": 12, "train.save_minutes": 1e-6, "train.unlabelled_batch": 4}
TURNED = {"predict.orientations": 4, "train.orientation_from": 0.2, "pcsw.volume_checks": [0.25]}


@pytest.mark.parametrize("method", METHODS_OF_MINUTES)
def test_a_killed_run_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, launch: Callable[..., subprocess.Popen[str]], method: str
) -> None:
    overrides = {**EVERY_METHOD[method], **confident_from(0.5), **QUICK_SAVES, **TURNED}
    whole = launch("whole", overrides)
    killed = launch("killed", overrides, pause=0.15)
    wait_for_step(tmp_path / "killed", 5)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    state = torch.load(tmp_path / "killed" / "work" / "state.pt", weights_only=True)
    assert 0 < state["step"] < 12
    finish(launch("killed", overrides))
    finish(whole)
    assert same_weights(tmp_path / "whole" / "checkpoint", tmp_path / "killed" / "checkpoint")
    histories = [pd.read_csv(tmp_path / name / "checkpoint" / "history.csv") for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*histories)
    assert not (tmp_path / "killed" / "work").exists()
    if method != "supervised":
        assert (tmp_path / "killed" / "rotated").read_text() == "once "  # before it was killed, and not again


def test_sigterm_saves_the_state_and_exits_143(tmp_path: Path, launch: Callable[..., subprocess.Popen[str]]) -> None:
    process = launch("stopped", {"train.steps": 500}, pause=0.1)
    wait_for_step(tmp_path / "stopped", 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert torch.load(tmp_path / "stopped" / "work" / "state.pt", weights_only=True)["step"] >= 2
    assert not (tmp_path / "stopped" / "checkpoint").exists()


@pytest.mark.parametrize("method", METHODS_OF_MINUTES)
def test_two_processes_learn_what_one_does_with_twice_the_batch(
    tmp_path: Path, launch: Callable[..., subprocess.Popen[str]], method: str
) -> None:
    # A low confidence, so that pseudo-labels count from the first step.
    common = {**EVERY_METHOD[method], **confident_from(0.5), **TURNED, "train.steps": 6, "train.val_every": 3}
    # The two save memory, too, which must not matter either.
    memory = {"train.micro_batch": 4, "train.gradient_checkpointing": "model.network" not in common}
    two = launch("two", {**common, **memory, "train.batch": 2, "train.unlabelled_batch": 4}, processes=2)
    one = launch("one", {**common, "train.batch": 4, "train.unlabelled_batch": 8})
    finish(two)
    finish(one)
    first, second = (pd.read_csv(tmp_path / name / "checkpoint" / "history.csv") for name in ("one", "two"))
    shares = [name for name in first if name.startswith("accepted")]
    pd.testing.assert_frame_equal(first.drop(columns=shares), second.drop(columns=shares), rtol=2e-3, atol=1e-4)
    # A pixel near the threshold may fall on either side.
    pd.testing.assert_frame_equal(first[shares], second[shares], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["weak_to_strong", "sss"])
def test_hidden_labels_have_no_influence(
    tmp_path: Path, launch: Callable[..., subprocess.Popen[str]], phantom: Path, method: str
) -> None:
    stripped = tmp_path / "stripped"
    write_phantom(stripped, patients=6)
    manifest = build_manifest(stripped)
    kept = {case.case for case in (*cohort(manifest, 1).labelled, *cohort(manifest, 1).val)}
    hidden = [case for case in manifest.cases if case.case not in kept]
    for case in hidden:
        (stripped / str(case.label)).unlink()
    assert {case.split for case in hidden} == {"train", "test"}
    taught = {**EVERY_METHOD[method], **confident_from(0.5)}
    runs = [launch("all", taught), launch("few", taught, data=stripped)]
    for run in runs:
        finish(run)
    assert same_weights(tmp_path / "all" / "checkpoint", tmp_path / "few" / "checkpoint")


def test_test_patients_are_not_even_opened(tmp_path: Path, recipe: Callable[..., Config], cache_dir: Path) -> None:
    data = tmp_path / "data"
    write_phantom(data, patients=6)
    manifest = build_manifest(data)
    for case in manifest.split("test"):
        (data / case.image).unlink()
        (data / str(case.label)).unlink()
    train(
        recipe({"train.steps": 1}),
        data_dir=data,
        manifest=manifest,
        output=tmp_path / "checkpoint",
        work_dir=tmp_path / "work",
        cache_dir=tmp_path / "cache",
        data_version="0",
        manifest_sha256="0",
    )
    seen = load_checkpoint(tmp_path / "checkpoint").meta.patients
    everyone = {*seen.labelled, *seen.unlabelled, *seen.validation}
    assert not everyone & {case.patient for case in manifest.split("test")}


def test_supervised_training_never_sees_an_unlabelled_patient(
    tmp_path: Path, recipe: Callable[..., Config], phantom: Path, cache_dir: Path
) -> None:
    train(
        recipe({"train.steps": 1, "train.method": "supervised"}),
        data_dir=phantom,
        manifest=build_manifest(phantom),
        output=tmp_path / "checkpoint",
        work_dir=tmp_path / "work",
        cache_dir=cache_dir,
        data_version="0",
        manifest_sha256="0",
    )
    assert load_checkpoint(tmp_path / "checkpoint").meta.patients.unlabelled == []


def test_a_budget_of_minutes_ends_in_time(
    tmp_path: Path, recipe: Callable[..., Config], phantom: Path, cache_dir: Path
) -> None:
    train(
        recipe({"train.steps": None, "train.minutes": 0.05}),
        data_dir=phantom,
        manifest=build_manifest(phantom),
        output=tmp_path / "checkpoint",
        work_dir=tmp_path / "work",
        cache_dir=cache_dir,
        data_version="0",
        manifest_sha256="0",
    )
    meta = load_checkpoint(tmp_path / "checkpoint").meta
    assert meta.steps > 2
    assert 0.05 <= meta.minutes < 0.2


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("loss", [NAN, INFINITE])
def test_a_loss_that_is_not_finite_is_one_sentence_with_the_step_and_a_remedy(
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
def test_one_weight_that_is_not_finite_is_found(broken: float, recipe: Callable[..., Config]) -> None:
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
def test_the_state_saved_before_stays_and_can_be_resumed(
    breaks_at: int, what: str, diverging: Callable[..., str], tmp_path: Path
) -> None:
    assert re.search(what, diverging(breaks_at, save_minutes=ALWAYS))
    saved = torch.load(tmp_path / "work" / "state.pt", weights_only=True)
    assert saved["step"] == breaks_at
    assert all(tensor.isfinite().all() for tensor in saved["learner"]["student"].values())


def test_weights_that_are_not_finite_are_not_validated(diverging: Callable[..., str], tmp_path: Path) -> None:
    assert "weights are NaN or infinite at step 5" in diverging(3, save_minutes=NEVER)
    assert not (tmp_path / "work").exists()
