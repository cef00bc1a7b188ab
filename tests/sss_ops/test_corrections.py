"""Corrections as their user has them: out, changed, in again past the data checks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from sss_model.data.manifest import Manifest, build_manifest
from sss_model.data.phantom import write_phantom
from sss_ops.cli import main

Sss = Callable[..., int]


@pytest.fixture
def sss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sss:
    """Runs the command line in a folder with a recipe that has few patients; returns the exit code."""
    recipe = yaml.safe_load(Path("configs/phantom.yaml").read_text())
    recipe["data"]["labelled"] = 1
    recipe["data_checks"] |= {"min_labelled_patients": 1, "min_test_patients": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["sss", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def unlabelled(tmp_path: Path, manifest: Manifest) -> tuple[str, Path]:
    """The case of a training patient whose labels are gone, and where its true label lies."""
    write_phantom(tmp_path / "data" / "phantom", patients=6)
    patient = sorted({case.patient for case in manifest.split("train")})[-1]
    first, *_ = cases = [case for case in manifest.split("train") if case.patient == patient]
    for case in cases:
        (tmp_path / "data" / "phantom" / str(case.label)).rename(tmp_path / f"{case.case}.nii")
    return first.case, tmp_path / f"{first.case}.nii"


def test_a_corrected_mask_passes_the_data_checks_or_is_refused(
    sss: Sss, checkpoint: Path, unlabelled: tuple[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case, truth = unlabelled
    assert sss("export", "corrections", checkpoint, "data/phantom", "to_correct", "--count", 1) == 0
    assert "then: sss import corrections to_correct data/phantom" in capfd.readouterr().out
    mask = tmp_path / "to_correct" / f"{case}_mask.nii"
    # Drawn upside down: on its scan's grid, of known classes, and wrong.
    drawn = nib.load(truth)
    upside_down = np.asarray(drawn.dataobj)[::-1, ::-1].copy()
    nib.save(nib.Nifti1Image(np.roll(upside_down, 9, axis=0), drawn.affine, drawn.header), mask)
    before = (tmp_path / "data" / "phantom" / "splits.csv").read_bytes()
    assert sss("import", "corrections", "to_correct", "data/phantom") == 2
    sentence = capfd.readouterr().err
    assert f"new labels fail the data checks (case {case}" in sentence
    assert len(sentence.strip().splitlines()) == 1
    assert (tmp_path / "data" / "phantom" / "splits.csv").read_bytes() == before
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["phantom"]

    shutil.copyfile(truth, mask)
    assert sss("import", "corrections", "to_correct", "data/phantom") == 0
    told = capfd.readouterr().out
    assert "data/phantom: 1 label added (1 corrected, 0 confirmed), 0 there before, 0 left out" in told
    assert "data.labelled is 1" in told
    assert "next: sss data add\n" in told
    labelled = {row.case for row in build_manifest(tmp_path / "data" / "phantom").cases if row.labelled}
    assert case in labelled
