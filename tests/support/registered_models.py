"""Folders in which `sss register` and `sss promote` work as in a checkout whose pipeline has run; releases."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from sss_model.data.manifest import build_manifest, write_manifest
from sss_model.files import sha256
from sss_ops.cli import main
from sss_ops.steps.evaluate import evaluate
from sss_ops.steps.register import register

Sss = Callable[..., tuple[int, str, str]]


def fill_folder(folder: Path, *, steps: Path, checkpoint: Path, cohort: Path) -> None:
    """Lay down recipe, data, checkpoint and what the other steps leave, all with their usual names."""
    shutil.copytree(steps / "validation", folder / "validation")
    recipe = yaml.safe_load((steps / "params.yaml").read_text())
    recipe["promotion"] = {**recipe["promotion"], "min_patients": 2, "resamples": 1000}
    (folder / "params.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "data").mkdir()
    (folder / "data/phantom").symlink_to(cohort)
    write_manifest(build_manifest(cohort), folder / "manifest.csv")
    version = {"name": "phantom", "version": "0" * 32, "manifest_sha256": sha256(folder / "manifest.csv")}
    (folder / "data_version.json").write_text(json.dumps({**version, "channel": "MRI", "licence": "", "citation": ""}))
    as_if_trained_beside(checkpoint, folder / "checkpoint", cohort)
    evaluate_in(folder, "checkpoint")


def evaluate_in(folder: Path, checkpoint: str = "checkpoint", *, data: Path | None = None) -> None:
    """Evaluate a checkpoint in a working directory, as `sss evaluate` does; `data` is its data/phantom if not given."""
    evaluate(
        checkpoint=folder / checkpoint,
        data_dir=data or folder / "data/phantom",
        manifest=folder / "manifest.csv",
        split="test",
        predictions=folder / "predictions",
        output=folder / "evaluation",
        metrics=folder / "metrics.json",
    )


def as_if_trained_beside(
    checkpoint: Path, folder: Path, cohort: Path, change: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> Path:
    """The checkpoint as if the cohort were the data that it was trained on, with other weights if asked for."""
    shutil.copytree(checkpoint, folder)
    manifest = folder.with_name(f"{folder.name}-manifest.csv")
    write_manifest(build_manifest(cohort), manifest)
    meta = json.loads((folder / "meta.json").read_text())
    meta["manifest_sha256"] = sha256(manifest)
    (folder / "meta.json").write_text(json.dumps(meta))
    if change:
        weights = torch.load(folder / "weights.pt", weights_only=True)
        torch.save({name: change(tensor) for name, tensor in weights.items()}, folder / "weights.pt")
    return folder


def command_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sss:
    """Runs `sss` with arguments in this process; returns its exit code, its answer and its complaint."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sss", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capfd.readouterr())

    return call


MODEL = "sss-phantom"
FILES = {
    *("SHA256SUMS", "approval.json", "audit.txt", "cases.csv", "data_version.json", "manifest.csv", "metrics.json"),
    *("model_card.md", "overlays", "provenance.json", "report.html", "sbom.cdx.json", "summary.json"),
    "validation.html",
}


def register_it(steps: Path, folder: Path, **other: Path) -> None:
    register(
        **{
            "checkpoint": steps / "checkpoint",
            "metrics": steps / "metrics.json",
            "evaluation": steps / "evaluation",
            "validation": steps / "validation/report.html",
            "data_version": steps / "data_version.json",
            "params": steps / "params.yaml",
            "manifest": steps / "manifest.csv",
            "predictions": steps / "predictions",
            "output": folder / "registration.json",
            "card": folder / "model_card.md",
            **other,
        }
    )
