"""Training on several GPUs and several nodes."""

from __future__ import annotations

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
from sss_ops.steps.train_distributed import _share


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
