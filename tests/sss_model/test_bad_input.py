"""Every kind of bad input, as its user meets it: one sentence, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from sss_ops.cli import main

Sss = Callable[..., str]


@pytest.fixture
def sss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sss:
    """Runs the command line in a folder of its own and returns its sentence, all it may say beside progress."""
    shutil.copy("configs/phantom.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> str:
        before = listing(tmp_path)
        monkeypatch.setattr("sys.argv", ["sss", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        *progress, sentence = capfd.readouterr().err.strip().splitlines()
        assert ended.value.code == 2
        assert sentence.startswith("error: ")
        assert all(line.startswith("predict: ") for line in progress), progress
        assert listing(tmp_path) == before
        return sentence

    return run


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def cohort(phantom: Path, tmp_path: Path) -> Path:
    """The phantom, to be broken."""
    return Path(shutil.copytree(phantom, tmp_path / "data" / "phantom"))


def case(folder: Path, kind: str) -> Path:
    return sorted((folder / kind).iterdir())[0]


def rewrite(path: Path, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    image = nib.load(path)
    voxels, affine = change(image.get_fdata().astype(image.get_data_dtype()), image.affine)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def version_data(sss: Sss, cohort: Path) -> str:
    record = {"outs": [{"md5": "0" * 32 + ".dir", "path": "data"}]}
    Path("data.dvc").write_text(yaml.safe_dump(record))
    return sss("version-data", "--data-dir", cohort)


def moved(affine: np.ndarray) -> np.ndarray:
    affine = affine.copy()
    affine[0, 3] += 5  # mm
    return affine


def nan_voxels(voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    voxels = voxels.astype(np.float32)
    voxels[0, 0, 0] = np.nan
    return voxels, affine


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("labelsTr", lambda voxels, affine: (voxels[:-1], affine), "shape"),
        ("labelsTr", lambda voxels, affine: (voxels, moved(affine)), "affine"),
        ("labelsTr", lambda voxels, affine: (voxels + 3, affine), "dataset.json"),
        ("imagesTr", nan_voxels, "NaN"),
    ],
)
def test_a_volume_that_does_not_fit_is_named(
    sss: Sss,
    cohort: Path,
    kind: str,
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    sentence: str,
) -> None:
    path = case(cohort, kind)
    rewrite(path, change)
    said = version_data(sss, cohort)
    assert sentence in said
    assert path.name.split("_0000")[0].split(".")[0] in said


def test_a_truncated_scan_is_named(sss: Sss, checkpoint: Path, tmp_path: Path) -> None:
    whole = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(size=(40, 40, 9)), np.eye(4)), whole)
    whole.write_bytes(whole.read_bytes()[:5000])
    assert "scan.nii.gz" in sss("predict", checkpoint, whole, tmp_path / "mask.nii.gz")


def test_a_text_file_named_nii_gz_is_named(sss: Sss, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_text("not a scan")
    assert "scan.nii.gz" in sss("predict", checkpoint, tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz")


def test_an_empty_folder_is_refused(sss: Sss, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "data").mkdir()
    assert "empty" in sss("import", "acdc", tmp_path / "empty", tmp_path / "data" / "acdc")


def test_a_patient_in_two_splits_is_named(sss: Sss, cohort: Path) -> None:
    splits = cohort / "splits.csv"
    lines = splits.read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if ",train," in line)
    lines[index] = lines[index].replace(",train,", ",val,")
    splits.write_text("\n".join(lines) + "\n")
    assert lines[index].split(",")[1] in version_data(sss, cohort)


def test_an_unknown_key_is_named(sss: Sss, tmp_path: Path, cohort: Path) -> None:
    recipe = tmp_path / "params.yaml"
    recipe.write_text(recipe.read_text().replace("  size:", "  sise: 3\n  size:"))
    said = sss("train", "--data-dir", cohort)
    assert "unknown key data.sise" in said


def test_a_checkpoint_of_another_configuration_is_refused(sss: Sss, tmp_path: Path, checkpoint: Path) -> None:
    other = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    meta = json.loads((other / "meta.json").read_text())
    meta["config"]["model"]["decoder_channels"] = 32
    (other / "meta.json").write_text(json.dumps(meta))
    scan = tmp_path / "scan.nii"
    nib.save(nib.Nifti1Image(np.zeros((40, 40, 3), np.int16), np.eye(4)), scan)
    assert "configuration" in sss("predict", other, scan, tmp_path / "mask.nii")


def test_a_missing_checkpoint_is_refused(sss: Sss, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    nib.save(nib.Nifti1Image(np.zeros((40, 40, 3), np.int16), np.eye(4)), scan)
    assert "no checkpoint there" in sss("predict", tmp_path / "nowhere", scan, tmp_path / "mask.nii")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of one megabyte can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_leaves_nothing(sss: Sss, small_disk: Path) -> None:
    assert "the disk is full" in sss("import", "phantom", small_disk / "phantom")
    assert list(small_disk.iterdir()) == []
