from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from support.scans import LABELS, write_canonical

from sss_model.data.manifest import build_manifest, read_manifest
from sss_model.errors import InputError
from sss_ops.steps.version_data import version_data


@pytest.fixture
def paths(tmp_path):
    write_canonical(tmp_path / "data" / "heart")
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 0123abcd.dir\n  nfiles: 22\n  path: data\n")
    return {
        "data_dir": tmp_path / "data" / "heart",
        "manifest": tmp_path / "manifest.csv",
        "data_version": tmp_path / "data_version.json",
        "dvc_file": tmp_path / "data.dvc",
    }


def test_the_manifest_and_the_version_are_written(paths):
    version_data(**paths)
    assert read_manifest(paths["manifest"]) == build_manifest(paths["data_dir"])
    assert json.loads(paths["data_version"].read_text()) == {
        "name": "heart",
        "version": "0123abcd.dir",
        "manifest_sha256": hashlib.sha256(paths["manifest"].read_bytes()).hexdigest(),
        "labels": LABELS,
        **{"channel": "MRI", "licence": "", "citation": ""},
    }


def test_data_that_dvc_does_not_track_is_refused(paths):
    paths["dvc_file"].unlink()
    with pytest.raises(InputError, match=r"data\.dvc: no such file; .* run `dvc add data`"):
        version_data(**paths)
    assert not paths["manifest"].exists()


@pytest.mark.parametrize("text", ["outs: []\n", "outs:\n- path: data\n", "just words", "{"])
def test_a_record_without_a_version_is_refused(paths, text):
    paths["dvc_file"].write_text(text)
    with pytest.raises(InputError, match=r"data\.dvc: records no md5"):
        version_data(**paths)


def test_bad_data_exits_with_2_one_sentence_and_nothing_written(paths):
    (paths["data_dir"] / "imagesTr" / "p0_a_0000.nii.gz").write_text("not a scan")
    options = [part for name, path in paths.items() for part in (f"--{name.replace('_', '-')}", str(path))]
    done = subprocess.run(
        [sys.executable, "-m", "sss_ops", "version-data", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "case p0_a: " in done.stderr and "not a NIfTI file" in done.stderr
    assert not paths["manifest"].exists() and not paths["data_version"].exists()
