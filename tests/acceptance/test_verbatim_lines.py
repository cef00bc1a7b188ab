"""The paper's two command lines, word by word through the scripts, with weights of Meta's names and shapes.

Added are a smaller picture and a budget of a few steps; one line also runs at its own 1024².
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.code_graph import ROOT
from support.sam2_checkpoints import write_checkpoint

from sss_model.checkpoint import load_checkpoint
from sss_model.files import sha256
from sss_ops.storage import published
from sss_ops.storage.published import Published
from tests.sss_ops.medical_sam2.conftest import LINES, RAW
from tests.sss_ops.medical_sam2.conftest import words as words

pytestmark = pytest.mark.acceptance
SIZES = [("REFUGE", 128, 2), ("btcv", 128, 2), ("REFUGE", 1024, 3)]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """sam2_hiera_small.pt where the lines look for it, in a new working directory; its hash is taken for Meta's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "checkpoints").mkdir()
    path = write_checkpoint(tmp_path / "checkpoints/sam2_hiera_small.pt", "small", "2.0", number=0.01)
    known = Published("small", "2.0", path.name, "072824", path.stat().st_size, sha256(path))
    monkeypatch.setattr(published, "PUBLISHED", (known,))
    return known


@pytest.mark.parametrize(("name", "size", "steps"), SIZES)
def test_a_line_trains_evaluates_and_reports(
    name: str,
    size: int,
    steps: int,
    weights: Published,
    words: Callable[..., list[str]],
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dimensions, _ = LINES[name]
    script = f"train_{dimensions}d.py"
    row: dict[str, Any] = {"line": f"{script} -dataset {name}", "size": size, "encoder": weights.encoder}
    record_property("command line", row)
    began = time.monotonic()
    RAW[name](Path("data", name))
    sizes = {"image_size": size} | ({"out_size": size} if dimensions == 2 else {})
    monkeypatch.setattr(sys, "argv", [script, *words(name, **sizes, steps=steps)])
    runpy.run_path(str(ROOT / script), run_name="__main__")

    (folder,) = Path("runs").iterdir()
    scores = json.loads((folder / "evaluation/summary.json").read_text())
    meta = load_checkpoint(folder / "checkpoint").meta
    row |= {"steps": meta.steps, "dice": scores["dice"], "seconds": round(time.monotonic() - began)}
    assert (meta.method, meta.steps, meta.pretrained_sha256) == ("sss", steps, weights.sha256)
    assert (folder / "evaluation/report.html").is_file()
    assert (folder / "oracle.csv").is_file() == ("-prompt" in sys.argv)
    assert "promptless Dice" in capsys.readouterr().out
