from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.paths import ROOT

from sss_model.data.manifest import Manifest
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume

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
