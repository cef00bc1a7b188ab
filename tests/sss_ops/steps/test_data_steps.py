"""The steps version-data and validate-splits."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from support.scans import LABELS, edit, write_canonical

from sss_model.config import dump_config
from sss_model.data.manifest import build_manifest, read_manifest, write_manifest
from sss_model.errors import InputError
from sss_ops.steps.validate_splits import DataChecksFailedError, validate_splits
from sss_ops.steps.version_data import version_data


@pytest.fixture
def version_paths(tmp_path):
    write_canonical(tmp_path / "data" / "heart")
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 0123abcd.dir\n  nfiles: 22\n  path: data\n")
    return {
        "data_dir": tmp_path / "data" / "heart",
        "manifest": tmp_path / "manifest.csv",
        "data_version": tmp_path / "data_version.json",
        "dvc_file": tmp_path / "data.dvc",
    }


def test_the_manifest_and_the_version_are_written(version_paths):
    version_data(**version_paths)
    assert read_manifest(version_paths["manifest"]) == build_manifest(version_paths["data_dir"])
    assert json.loads(version_paths["data_version"].read_text()) == {
        "name": "heart",
        "version": "0123abcd.dir",
        "manifest_sha256": hashlib.sha256(version_paths["manifest"].read_bytes()).hexdigest(),
        "labels": LABELS,
        **{"channel": "MRI", "licence": "", "citation": ""},
    }


def test_data_that_dvc_does_not_track_is_refused(version_paths):
    version_paths["dvc_file"].unlink()
    with pytest.raises(InputError, match=r"data\.dvc: no such file; .* run `dvc add data`"):
        version_data(**version_paths)
    assert not version_paths["manifest"].exists()


@pytest.mark.parametrize("text", ["outs: []\n", "outs:\n- path: data\n", "just words", "{"])
def test_a_record_without_a_version_is_refused(version_paths, text):
    version_paths["dvc_file"].write_text(text)
    with pytest.raises(InputError, match=r"data\.dvc: records no md5"):
        version_data(**version_paths)


def test_bad_data_exits_with_2_one_sentence_and_nothing_written(version_paths):
    (version_paths["data_dir"] / "imagesTr" / "p0_a_0000.nii.gz").write_text("not a scan")
    options = [part for name, path in version_paths.items() for part in (f"--{name.replace('_', '-')}", str(path))]
    done = subprocess.run(
        [sys.executable, "-m", "sss_ops", "version-data", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "case p0_a: " in done.stderr and "not a NIfTI file" in done.stderr
    assert not version_paths["manifest"].exists() and not version_paths["data_version"].exists()


@pytest.fixture
def paths(tmp_path, phantom, manifest, recipe):
    shutil.copytree(phantom, tmp_path / "heart")
    write_manifest(manifest, tmp_path / "manifest.csv")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(dump_config(recipe())))
    return {
        "data_dir": tmp_path / "heart",
        "manifest": tmp_path / "manifest.csv",
        "params": tmp_path / "params.yaml",
        "report": tmp_path / "validation" / "report.html",
    }


@pytest.fixture
def leaky(paths, manifest):
    """The manifest puts one of a patient's scans elsewhere than splits.csv."""
    case = manifest.split("train")[0]
    edit(paths["manifest"], f"{case.case},{case.patient},{case.group},train", f"{case.case},{case.patient},normal,test")
    return {**paths, "patient": case.patient}


class Page(HTMLParser):
    """The text of a page, and whatever it would load from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.loads = "", []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def headings(page):
    return re.findall("<h2>(.*?)</h2>", page.read_text())


def test_a_sound_data_set_passes_with_a_report(paths):
    validate_splits(**paths)
    html = paths["report"].read_text()
    assert "heart: all 38 checks passed" in Page(html).text
    assert html.count(">passed</span>") == 38


def test_a_failing_check_names_its_cases_and_the_fix_and_comes_first(leaky):
    patient = leaky.pop("patient")
    with pytest.raises(DataChecksFailedError):
        validate_splits(**leaky)
    text = Page(leaky["report"].read_text()).text
    assert "heart: 2 of 38 checks failed" in text
    assert f"patient {patient} is in test and train Fix: Give all scans of the patient the same split" in text
    assert headings(leaky["report"])[:3] == ["Patients and splits", "Files", "Duplicates"]


def test_the_report_stands_alone_and_is_the_same_every_time(paths):
    validate_splits(**paths)
    first = paths["report"].read_text()
    validate_splits(**paths)
    assert paths["report"].read_text() == first
    assert Page(first).loads == []
    assert "http" not in first and "url(" not in first


def test_names_in_the_report_are_text_and_never_markup(paths, manifest):
    for case in manifest.cases[:2]:
        edit(paths["manifest"], f"{case.case},{case.patient},", f"{case.case},<script>alert(1)</script>,")
    edit(paths["manifest"], f"{manifest.cases[0].case},<script>", f"{manifest.cases[0].case},<script> ")
    with pytest.raises(DataChecksFailedError):
        validate_splits(**paths)
    html = paths["report"].read_text()
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html


def test_what_a_whole_cohort_breaks_is_cut_short(paths, monkeypatch):
    monkeypatch.setattr("sss_ops.data_checks.report.MOST_SENTENCES", 5)
    for label in paths["data_dir"].glob("labelsTr/*"):
        label.unlink()
    with pytest.raises(DataChecksFailedError):
        validate_splits(**paths)
    assert "is missing and 5 more Fix" in Page(paths["report"].read_text()).text


def test_the_command_line_refuses_after_the_report_is_written(leaky):
    patient = leaky.pop("patient")
    sentence = rf"heart: 2 problems \(patient {patient} is in test and train; .*report\.html"
    with pytest.raises(InputError, match=sentence):
        validate_splits(**leaky)
    assert leaky["report"].exists()


def test_as_a_program_it_says_a_line_about_a_sound_data_set_and_exits_with_2_otherwise(paths, manifest):
    options = [word for name, path in paths.items() for word in (f"--{name.replace('_', '-')}", str(path))]
    call = [sys.executable, "-m", "sss_ops", "validate-splits", *options]
    sound = subprocess.run(call, capture_output=True, text=True)
    verdict = f"{paths['data_dir']}: all 38 checks passed, see {paths['report']}\n"
    assert (sound.returncode, sound.stdout, sound.stderr) == (0, verdict, "")
    (paths["data_dir"] / manifest.cases[0].label).unlink()
    faulty = subprocess.run(call, capture_output=True, text=True)
    assert faulty.returncode == 2
    assert faulty.stderr.startswith(f"error: {paths['data_dir']}: 1 problem (case {manifest.cases[0].case}: labelsTr/")
    assert len(faulty.stderr.splitlines()) == 1


def test_great_expectations_reports_nothing_home_and_is_imported_only_inside_the_step(paths):
    code = (
        "import os, socket, sys\n"
        "from pathlib import Path\n"
        "called = []\n"
        "socket.socket.connect = lambda self, address: called.append(address)\n"
        "from sss_ops.steps.validate_splits import validate_splits\n"
        "early = 'great_expectations' in sys.modules\n"
        f"validate_splits({', '.join(f'{name}=Path({str(path)!r})' for name, path in paths.items())})\n"
        "print(early, called, os.environ['GX_ANALYTICS_ENABLED'])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GX_")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout == f"{paths['data_dir']}: all 38 checks passed, see {paths['report']}\nFalse [] false\n"


def test_a_missing_manifest_is_refused(paths):
    paths["manifest"].unlink()
    with pytest.raises(InputError, match="no such file; expected a manifest"):
        validate_splits(**paths)
    assert not paths["report"].exists()
