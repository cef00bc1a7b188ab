"""Memory, training and prediction on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.paths import ROOT

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.device import device_name
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume

WHOLE = {
    "train.steps": 2,
    "train.precision": "bf16-mixed",
    "train.batch": 8,
    "train.unlabelled_batch": 8,
    "train.unlabelled_from": 0,
    "train.ramp": 0,
    "data.size": 128,
    "data.spacing_mm": 1.25,
}


def peak(fit: Callable[..., Path], device: torch.device, **memory: Any) -> int:
    """The most bytes that tensors took on the GPU while it trained; 0 on a CPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    fit({**WHOLE, **{f"train.{key}": value for key, value in memory.items()}})
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def test_micro_batches_and_gradient_checkpointing_lower_the_peak(
    fit: Callable[..., Path], device: torch.device
) -> None:
    whole = peak(fit, device)
    pieces = peak(fit, device, micro_batch=2)
    least = peak(fit, device, micro_batch=2, gradient_checkpointing=True)
    print(f"peak memory: whole batch {whole:,}, micro-batches {pieces:,}, and gradient checkpointing {least:,} bytes")
    if device.type == "cuda":
        assert least < pieces < whole


# All that saves memory at once, and pseudo-labels from the first step.
LEAN = {
    "train.steps": 12,
    "train.precision": "bf16-mixed",
    "train.micro_batch": 4,
    "train.gradient_checkpointing": True,
    "train.unlabelled_from": 0,
    "train.ramp": 0,
    "train.confidence": 0.5,
}


@pytest.fixture(scope="module")
def lean(fit: Callable[..., Path]) -> Path:
    return fit(LEAN)


def test_a_lean_training_learns_and_records_its_device(lean: Path, device: torch.device) -> None:
    trained = load_checkpoint(lean)
    assert (trained.meta.device, trained.meta.precision) == (device_name(device), "bf16-mixed")
    assert trained.meta.steps == 12
    assert all(torch.isfinite(value).all() for value in trained.weights.values())
    loss = trained.history["loss"].dropna()
    assert len(loss)
    assert np.isfinite(loss).all()


def test_auto_precision_is_bfloat16_where_the_gpu_computes_in_it(
    fit: Callable[..., Path], device: torch.device
) -> None:
    precision = load_checkpoint(fit({"train.steps": 1, "train.precision": "auto"})).meta.precision
    if device.type == "cuda":
        newer = torch.cuda.get_device_capability(device)[0] >= 8
        assert precision == ("bf16-mixed" if newer else "32-true")


def test_a_resumed_training_ends_like_one_that_was_never_killed(
    fit: Callable[..., Path], lean: Path, tmp_path: Path
) -> None:
    saved: list[Path] = []

    def kill(folder: Path) -> None:
        saved.append(folder)
        if len(saved) == 7:
            raise KeyboardInterrupt

    overrides = {**LEAN, "train.save_minutes": 1e-9}
    with pytest.raises(KeyboardInterrupt):
        fit(overrides, folder=tmp_path, on_save=kill)
    assert torch.load(tmp_path / "work" / "state.pt", weights_only=True)["step"] == 7
    resumed, whole = load_checkpoint(fit(overrides, folder=tmp_path)), load_checkpoint(lean)
    # A GPU adds up in any order, so the curves of two trainings drift apart by roundings.
    columns = ["loss", "loss_labelled", "loss_unlabelled"]
    np.testing.assert_allclose(resumed.history[columns].dropna(), whole.history[columns].dropna(), rtol=0.05)
    assert resumed.history["step"].tolist() == whole.history["step"].tolist()
    drift = max(float((resumed.weights[name] - whole.weights[name]).abs().max()) for name in whole.weights)
    assert drift < 0.05


def test_saving_memory_does_not_change_the_loss(fit: Callable[..., Path]) -> None:
    exact = {**LEAN, "train.precision": "32-true", "train.steps": 10}
    lean = load_checkpoint(fit(exact)).history
    plain = load_checkpoint(fit({**exact, "train.micro_batch": None, "train.gradient_checkpointing": False})).history
    np.testing.assert_allclose(lean["loss"].dropna(), plain["loss"].dropna(), rtol=2e-2)


def test_metas_tiny_encoder_trains_on_slices_of_256(fit: Callable[..., Path], device: torch.device) -> None:
    # A CPU would take minutes.
    size = 256 if device.type == "cuda" else 64
    sized = {"model.encoder": "tiny", "data.size": size, "data.spacing_mm": 160 / size}
    trained = load_checkpoint(fit({**LEAN, **sized, "train.steps": 2, "train.micro_batch": 2}))
    assert trained.config.model.encoder == "tiny"
    assert trained.meta.steps == 2


ELSEWHERE = """
import sys
from pathlib import Path
import torch
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume
assert not torch.cuda.is_available()
checkpoint, scan, output = map(Path, sys.argv[1:])
torch.save(Predictor.load(checkpoint).probabilities(read_volume(scan)), output)
"""


@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 5e-3), ("bf16-mixed", 5e-2)])
def test_a_gpu_predicts_what_a_cpu_predicts(
    fit: Callable[..., Path], phantom: Path, manifest: Manifest, tmp_path: Path, precision: str, tolerance: float
) -> None:
    checkpoint = fit({"train.steps": 8, "train.precision": precision})
    scan = phantom / manifest.split("test")[0].image
    here = Predictor.load(checkpoint).probabilities(read_volume(scan))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ELSEWHERE, str(checkpoint), str(scan), str(tmp_path / "probabilities.pt")]
    subprocess.run(command, env=environment, check=True)
    there = torch.load(tmp_path / "probabilities.pt", weights_only=True)
    np.testing.assert_allclose(here, there, atol=tolerance)
    assert float((here.argmax(1) != there.argmax(1)).float().mean()) < 0.01
