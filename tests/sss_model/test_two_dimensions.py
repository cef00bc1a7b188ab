"""Colour photographs all the way: import, validation, training, prediction, evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.planted_cohort import Cohort, failed_rules
from support.samples import write_refuge

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config
from sss_model.data.importing import import_dataset
from sss_model.data.manifest import build_manifest
from sss_model.evaluation.evaluate import evaluate
from sss_model.training.train import train
from sss_ops.prediction.predict import predict_scans

FLAT = {
    "data.name": "refuge",
    "data.labelled": 2,
    "data.size": 64,
    "data.spacing_mm": 1.5,
    "data.neighbours": False,
    "data.colour": True,
    "data_checks.max_similarity": 0.99,  # the sample's photographs are one drawing with noise
    "train.steps": 2,
}


@pytest.mark.parametrize("method", ["weak_to_strong", "sss"])
def test_photographs_are_trained_on_predicted_and_scored(
    tmp_path: Path, recipe: Callable[..., Config], method: str
) -> None:
    clips = {"sss.clip": 1, "sss.clip_every": 1, "pcsw.warmup": 0.0} if method == "sss" else {}
    config = recipe({**FLAT, "train.method": method, **clips})
    data = tmp_path / "data"
    import_dataset("refuge", write_refuge(tmp_path / "source"), data)
    manifest = build_manifest(data)
    assert [(case.slices, case.shape) for case in manifest.cases] == [(1, (96, 96, 1))] * 12
    assert failed_rules(Cohort(data, manifest, config)) == {}

    train(
        config,
        data_dir=data,
        manifest=manifest,
        output=tmp_path / "checkpoint",
        work_dir=tmp_path / "work",
        cache_dir=tmp_path / "cache",
        data_version="0" * 32,
        manifest_sha256="1" * 64,
    )
    summary = evaluate(
        tmp_path / "checkpoint",
        data_dir=data,
        manifest=manifest,
        output=tmp_path / "evaluation",
        predictions=tmp_path / "predictions",
        metrics=tmp_path / "metrics.json",
    )
    assert json.loads((tmp_path / "evaluation/summary.json").read_text()) == summary
    assert (tmp_path / "evaluation" / "overlays" / "T0001.png").is_file()

    photograph = data / "imagesTs" / "T0001_0000.png"
    done = predict_scans(load_checkpoint(tmp_path / "checkpoint"), str(photograph.parent), str(tmp_path / "masks"))
    assert set(done.rows[0].sizes) == {f"{name}_pixels" for name, index in manifest.labels.items() if index}
    mask = tmp_path / "masks" / photograph.name
    with Image.open(mask) as written, Image.open(tmp_path / "predictions" / "T0001.png") as evaluated:
        assert written.size == Image.open(photograph).size
        assert np.array_equal(np.asarray(written), np.asarray(evaluated))


def test_colour_is_seen(tmp_path: Path, recipe: Callable[..., Config]) -> None:
    """Two pictures of one luminance and different colours must not look the same to the network."""
    from sss_model.data.preprocessing import image_slices
    from sss_model.io.volumes import read_volume

    slices = []
    for name, colour in (("red", (200, 0, 0)), ("green", (0, 102, 0))):
        picture = np.full((64, 64, 3), 20, np.uint8)
        picture[16:48, 16:48] = colour
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        volume = read_volume(tmp_path / f"{name}.png")
        assert abs(float(volume.array[32, 32, 0]) - 60) <= 1
        slices.append(image_slices(volume, recipe(FLAT).data, 64))
    assert np.abs(slices[0] - slices[1]).max() > 1
