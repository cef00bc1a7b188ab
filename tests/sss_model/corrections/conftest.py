"""An export for correction of two unlabelled patients, made by a model that needs no training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.scans import LABELS, write_canonical

from sss_model.corrections import export as exporting
from sss_model.corrections.record import Export
from sss_model.io.volumes import Volume

SIDES = ("train", "train", "train", "train", "val", "test")


class Quantiles:
    """Stands for a trained model: classes by intensity, so that every scan has a mask of its own."""

    checkpoint = SimpleNamespace(
        meta=SimpleNamespace(labels=dict(LABELS), method="sss", data_version="abc.dir", git_revision="f00")
    )

    @classmethod
    def load(cls, folder: Path) -> Quantiles:
        return cls()

    def __call__(self, volume: Volume) -> Volume:
        return volume.like(np.clip(volume.array // 250, 0, 3).astype(np.uint8))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Patients p0 to p5, of whom p1 and p2, in training, have no label."""
    return write_canonical(tmp_path / "data" / "hearts", SIDES, unlabelled=("p1", "p2"))


@pytest.fixture
def export(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Export]:
    """Exports to ``to_correct``."""
    monkeypatch.setattr(exporting, "Predictor", Quantiles)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights.pt").write_bytes(b"weights")

    def run(**choices: object) -> Export:
        return exporting.export_corrections(checkpoint, data, tmp_path / "to_correct", **choices)  # type: ignore[arg-type]

    return run
