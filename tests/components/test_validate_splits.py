from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.validate_splits import command, run
from sss_model.errors import InputError
from sss_model.manifest import build_manifest, write_manifest
from tests.scans import edit, write_canonical

RECIPE = Path(__file__).parents[2] / "configs/phantom.yaml"


@pytest.fixture
def paths(tmp_path):
    folder = write_canonical(tmp_path / "heart", ("train", "train", "val", "test", "test"))
    write_manifest(build_manifest(folder), tmp_path / "manifest.csv")
    return {
        "data_dir": folder,
        "manifest": tmp_path / "manifest.csv",
        "params": RECIPE,
        "report": tmp_path / "validation" / "report.html",
    }


class Page(HTMLParser):
    """The text of a page, and whatever it would load from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.loads = "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_a_sound_data_set_passes_with_a_report(paths):
    assert run(**paths) is True
    html = paths["report"].read_text()
    assert "heart: all 10 checks passed" in Page(html).text
    assert html.count(">passed</span>") == 10


def test_a_failing_check_names_its_cases_and_the_way_out(paths):
    edit(paths["manifest"], "p0_a,p0,g0,train", "p0_a,p0,g0,test")
    assert run(**paths) is False
    text = " ".join(Page(paths["report"].read_text()).text.split())
    assert "heart: 2 of 10 checks failed" in text
    assert "patient p0 is in test and train Way out: Give all scans of the patient the same split" in text


def test_the_report_stands_alone_and_is_the_same_every_time(paths):
    run(**paths)
    first = paths["report"].read_text()
    run(**paths)
    assert paths["report"].read_text() == first
    assert Page(first).loads == []
    assert "http" not in first and "url(" not in first


def test_names_in_the_report_are_text_and_never_markup(paths):
    edit(paths["manifest"], "p0_a,p0,g0,train", "p0_a,<script>alert(1)</script>,g0,test")
    edit(paths["manifest"], "p0_b,p0,", "p0_b,<script>alert(1)</script>,")
    run(**paths)
    html = paths["report"].read_text()
    assert "<script" not in html and "patient &lt;script&gt;alert(1)" in html


def test_the_command_line_refuses_after_the_report_is_written(paths):
    edit(paths["manifest"], "p0_a,p0,g0,train", "p0_a,p0,g0,test")
    with pytest.raises(InputError, match=r"heart: 2 problems \(patient p0 is in test and train; .*report\.html"):
        command(**paths)
    assert paths["report"].exists()


def test_the_command_line_is_silent_about_a_sound_data_set(paths, capsys):
    command(**paths)
    assert capsys.readouterr().out == ""


def test_a_missing_manifest_is_refused(paths):
    paths["manifest"].unlink()
    with pytest.raises(InputError, match="no such file; expected a manifest"):
        run(**paths)
    assert not paths["report"].exists()
