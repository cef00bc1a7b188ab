"""The step train, on one GPU and on several nodes."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import torch
from support.paths import ROOT

from sss_model.checkpoint import load_checkpoint
from sss_model.errors import InputError
from sss_ops.steps.train import train
from sss_ops.steps.train_distributed import _share


def trained_in(phantom: Path, steps: Path, cache_dir: Path, folder: Path) -> Path:
    train(
        params=steps / "params.yaml",
        data_dir=phantom,
        manifest=steps / "manifest.csv",
        data_version=steps / "data_version.json",
        output=folder / "checkpoint",
        work=str(folder / ".runs"),
        cache=cache_dir,
    )
    return folder / "checkpoint"


def test_a_training_leaves_a_checkpoint_that_names_its_data_and_its_run(
    store: mlflow.MlflowClient, phantom: Path, steps: Path, cache_dir: Path, tmp_path: Path
) -> None:
    checkpoint = trained_in(phantom, steps, cache_dir, tmp_path)
    trained = load_checkpoint(checkpoint)
    assert trained.meta.data_version == "0" * 32 + ".dir"
    tracked = json.loads((checkpoint / "tracking.json").read_text())
    run = store.get_run(tracked["run_id"])
    assert (tracked["experiment"], run.info.status) == ("sss", "FINISHED")
    logged = {point.step: point.value for point in store.get_metric_history(run.info.run_id, "val_dice")}
    assert logged == dict(trained.history[["step", "val_dice"]].dropna().itertuples(index=False))
    assert list((tmp_path / ".runs").iterdir()) == []


def test_a_dead_tracking_server_does_not_lose_the_training(
    store: mlflow.MlflowClient,
    phantom: Path,
    steps: Path,
    cache_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    checkpoint = trained_in(phantom, steps, cache_dir, tmp_path)
    assert load_checkpoint(checkpoint).meta.steps == 4
    assert json.loads((checkpoint / "tracking.json").read_text())["run_id"] is None
    first, last = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    why = "(http://127.0.0.1:9: nothing listens)"
    assert first == f"MLflow does not take the training's curves; the training goes on {why}"
    assert last == f"MLflow lacks the end of this training; the checkpoint has all, `sss register` sends it {why}"


def test_only_the_first_of_several_processes_speaks(
    store: mlflow.MlflowClient,
    phantom: Path,
    steps: Path,
    cache_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANK", "1")
    checkpoint = trained_in(phantom, steps, cache_dir, tmp_path)
    assert not (checkpoint / "tracking.json").exists()
    assert store.get_experiment_by_name("sss") is None


def test_the_same_training_does_not_run_twice_at_once(
    store: mlflow.MlflowClient,
    phantom: Path,
    steps: Path,
    cache_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train_again(*arguments: object, **options: object) -> None:
        with pytest.raises(InputError, match="another process is at this same training"):
            trained_in(phantom, steps, cache_dir, tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr("sss_model.training.train.train", train_again)
    with pytest.raises(KeyboardInterrupt):
        trained_in(phantom, steps, cache_dir, tmp_path)


SHOW = "import os, sys, sss_ops.steps.train; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"


@pytest.mark.parametrize(("given", "used"), [({}, "5000"), ({"GOMP_SPINCOUNT": "0"}, "0")])
def test_they_sleep_after_a_short_spin_unless_a_person_says_otherwise(given: dict[str, str], used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | given
    said = subprocess.check_output([sys.executable, "-c", SHOW], env=environment, text=True)
    # PyTorch reads it when it is imported, which must come later.
    assert said.split() == ["False", used]


def start(
    folder: Path, steps: Path, phantom: Path, *, nodes: int, rank: int, processes: int, port: int
) -> subprocess.Popen[str]:
    folder.mkdir()
    told = {
        "PET_NNODES": nodes,
        "PET_NPROC_PER_NODE": processes,
        "PET_NODE_RANK": rank,
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": port,
    }
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **{name: str(value) for name, value in told.items()},
    }
    inputs = [f"--params={steps / 'params.yaml'}", f"--manifest={steps / 'manifest.csv'}", f"--data-dir={phantom}"]
    module = ["-m", "torch.distributed.run", "-m", "sss_ops", "train"]
    command = [sys.executable, *module, *inputs, f"--data-version={steps / 'data_version.json'}"]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.acceptance
def test_two_nodes_learn_what_two_processes_of_one_node_do(
    store: mlflow.MlflowClient, steps: Path, phantom: Path, tmp_path: Path
) -> None:
    port = free_port()
    started = [
        start(tmp_path / f"node{rank}", steps, phantom, nodes=2, rank=rank, processes=1, port=port) for rank in (0, 1)
    ]
    started.append(start(tmp_path / "alone", steps, phantom, nodes=1, rank=0, processes=2, port=free_port()))
    for node in started:
        output, _ = node.communicate(timeout=600)
        assert node.returncode == 0, output
    several, alone = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("node0", "alone"))
    assert all(torch.equal(several.weights[name], alone.weights[name]) for name in several.weights)
    assert (several.meta.processes, alone.meta.processes) == (2, 2)
    # Only the first node speaks.
    assert not (tmp_path / "node1" / "checkpoint").exists()
    assert len(store.search_runs([store.get_experiment_by_name("sss").experiment_id])) == 2


def test_a_later_attempt_brings_its_own_recipe_and_finds_the_scans_there(tmp_path: Path) -> None:
    recipe, scans = tmp_path / "params.yaml", tmp_path / "scans"
    scans.mkdir()
    shared = tmp_path / "shared"
    for attempt in ("first", "second"):
        recipe.write_text(attempt)
        (scans / "a.nii").write_text(attempt)
        _share(recipe, shared / "params.yaml", anew=True)
        _share(scans, shared / "scans", anew=False)
    assert (shared / "params.yaml").read_text() == "second"
    assert (shared / "scans/a.nii").read_text() == "first"
    assert {path.name for path in shared.iterdir()} == {"params.yaml", "scans"}
