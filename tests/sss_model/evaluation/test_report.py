"""The report, as a file and as a browser shows it."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.scores import score

from sss_model.checkpoint import Checkpoint, Meta, Patients
from sss_model.config import load_config
from sss_model.evaluation.calibration import BINS
from sss_model.evaluation.report import training_curves, volume_charts, worst_first, write_report
from sss_model.evaluation.summary import aggregate

HOSTILE = "<script>alert(1)</script>"


class Outside(HTMLParser):
    """Collects every address that a page would load, and the elements that could."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def scores():
    return [
        score("p1_a", "RV", 0.9, group="NOR"),
        score("p1_a", "LV", 0.8, group="NOR"),
        score("p2_a", "RV", None, group="DCM"),
        score("p2_a", "LV", 0.4321, group="DCM"),
        score("p3_a", "RV", 0.0, group="DCM", status="invented"),
        score("p3_a", "LV", 0.95, group="DCM"),
    ]


@pytest.fixture
def pictures(tmp_path, scores) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.png" for name in dict.fromkeys(row.case for row in scores)}
    for path in paths.values():
        Image.new("RGB", (80, 30), "#E5177B").save(path)
    return paths


def checkpoint(**changes: Any) -> Checkpoint:
    meta = Meta(
        method="weak_to_strong",
        labels={"background": 0, "RV": 1, "LV": 2},
        data_version="d41d8cd98f00b204.dir",
        manifest_sha256="5" * 64,
        patients=Patients(labelled=["p7", "p8"], unlabelled=["p7", "p8", "p9"], validation=["p10"]),
        git_revision="abc123",
        image_digest=None,
        device="cpu",
        processes=1,
        precision="32-true",
        steps=1234,
        minutes=4.2,
        best_step=1200,
        val_dice=0.777,
        val_dice_per_class={"RV": 0.7, "LV": 0.8},
        config=load_config(Path("configs/phantom.yaml")),
    ).model_copy(update=changes)
    history = pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 2.0, 1.0], "val_dice": [None, 0.5, None]})
    return Checkpoint(meta, {}, history)


def report(tmp_path, scores, pictures, **changes: Any) -> str:
    path = tmp_path / "report.html"
    summary = {"split": "test", **aggregate(scores)}
    write_report(checkpoint=checkpoint(**changes), scores=scores, summary=summary, overlays=pictures, output=path)
    return path.read_text()


def test_the_report_is_one_file_that_loads_nothing(tmp_path, scores, pictures):
    page = report(tmp_path, scores, pictures)
    outside = Outside()
    outside.feed(page)
    loaded = [address for address in outside.addresses if not address.startswith("#")]
    assert len(loaded) == 3
    assert all(address.startswith("data:image/") for address in loaded)
    places = [address.removeprefix("#") for address in outside.addresses if address.startswith("#")]
    assert places and all(f'id="{place}"' in page for place in places)
    assert not outside.elements & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?:|url\(|@import", page)


def test_names_from_the_data_are_text_and_never_markup(tmp_path, pictures):
    rows = [score("p1_a", "RV", 0.5, group=HOSTILE), score("p2_a", "RV", 0.5, group="other")]
    page = report(tmp_path, rows, pictures, data_version=HOSTILE, labels={"background": 0, "RV": 1})
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 3


def test_the_report_says_what_was_trained_on_what(tmp_path, scores, pictures):
    page = " ".join(re.sub(r"<[^>]+>", " ", report(tmp_path, scores, pictures)).split())
    for fact in (
        "weak-to-strong consistency",
        "SAM-2.1 micro, from random weights",
        "p7, p8",
        "3, the labelled ones among them",
        "1,234 steps in 4.2 minutes",
        "1,200, the best on 1 validation patient (Dice 0.777",
        "d41d8cd98f00b204.dir",
        "abc123",
        "Not a medical device.",
    ):
        assert fact in page


def test_the_report_shows_the_means_and_the_rules_for_empty_masks(tmp_path, scores, pictures):
    page = report(tmp_path, scores, pictures)
    summary = aggregate(scores)
    interval = summary["intervals"]["dice"]
    assert f"<b>{summary['dice']:.3f}</b><span>mean Dice, {interval['low']:.3f} to {interval['high']:.3f}<" in page
    assert f"{summary['ssl4mis']['per_class']['LV']['dice']:.3f}" in page
    assert "is not applicable and in no mean" in page


def test_what_could_not_be_measured_is_a_dash(tmp_path, pictures):
    page = report(tmp_path, [score("p1_a", "RV", None), score("p1_a", "LV", 0.5)], pictures)
    assert "–" in page
    results = page[page.index("<body>") : page.index("Provenance")]
    assert not re.search(r"\b(none|nan)\b", results, re.IGNORECASE)


def test_cases_run_from_worst_to_best_with_their_pictures(tmp_path, scores, pictures):
    views = worst_first([*scores, score("p1_b", "RV", None)], {**pictures, "p1_b": pictures["p1_a"]})
    assert [(view.name, view.dice) for view in views] == [
        ("p2_a", 0.4321), ("p3_a", 0.475), ("p1_a", pytest.approx(0.85)), ("p1_b", None)
    ]  # fmt: skip
    kind, data = views[0].picture.split(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (80, 30)
    page = report(tmp_path, scores, pictures)
    assert page.index("<h3>p2_a") < page.index("<h3>p3_a") < page.index("<h3>p1_a")


def test_only_the_worst_scans_have_pictures_once_these_grow_large(tmp_path, scores, pictures, monkeypatch):
    views = worst_first(scores, pictures, most_bytes=1)
    assert [view.picture is not None for view in views] == [True, False, False]
    monkeypatch.setattr("sss_model.evaluation.report.worst_first", lambda *_: views)
    page = report(tmp_path, scores, pictures)
    assert page.count("<img") == 1
    assert "2 better scans" in page
    assert all(f"<b>{name}</b>" in page for name in ("p3_a", "p1_a"))


def test_groups_have_a_row_with_what_they_missed(tmp_path, scores, pictures):
    page = " ".join(re.sub(r"<[^>]+>", " ", report(tmp_path, scores, pictures)).split())
    assert "DCM 2 2 0 1 " in page
    assert "NOR 1 1 0 0 " in page
    assert "Per group" not in report(tmp_path, scores[:2], pictures)


def test_volumes_have_a_chart_for_every_class(scores):
    charts = volume_charts(scores, aggregate(scores))
    assert [chart.title for chart in charts] == ["Volume of RV", "Volume of LV"]
    assert charts[0].note == "bias +4.5 ml"
    assert "p1_a: +9.0 ml" in charts[0].svg


def test_ejection_fractions_have_a_chart_where_a_cavity_is_named(scores):
    rows = [*scores, score("p1_b", "LV", 0.7, truth_ml=50.0, predicted_ml=54.0)]
    *_, last = volume_charts(rows, aggregate(rows, ejection_class="LV"))
    # 100 to 50 ml; measured 108 to 54.
    assert (last.title, last.note) == ("Ejection fraction of LV", "bias +0.0 points")


def test_curves_are_drawn_for_what_was_logged():
    assert [curve.title for curve in training_curves(checkpoint().history)] == [
        "Training loss",
        "Dice on validation patients",
    ]


def test_the_same_evaluation_gives_the_same_report(tmp_path, scores, pictures):
    assert report(tmp_path, scores, pictures) == report(tmp_path, scores, pictures)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Runs in the page when it has been laid out; what it finds is read from the DOM that Chromium prints.
PROBE = """
<script>
addEventListener("load", () => {
  const scrolls = [...document.querySelectorAll(".scroll")].map(box => box.scrollWidth > box.clientWidth);
  const zoom = document.querySelector(".zoom"), picture = zoom.parentElement, image = picture.querySelector("img");
  const before = image.getBoundingClientRect().width;
  zoom.focus();
  const focused = document.activeElement === zoom;
  zoom.click();
  const frame = picture.getBoundingClientRect();
  const found = {
    page: document.documentElement.scrollWidth, window: innerWidth, scrolls, focused, before,
    enlarged: image.getBoundingClientRect().width, covers: [frame.left, frame.top, frame.width, frame.height],
    height: innerHeight, pictures: document.querySelectorAll(".picture").length, ready: performance.now(),
  };
  const note = document.createElement("pre");
  note.id = "found";
  note.textContent = JSON.stringify(found);
  document.body.append(note);
});
</script>
"""


def write(folder: Path, scans: int) -> Path:
    pictures, scores = {}, []
    picture = folder / "overlay.png"
    noise = np.random.default_rng(0).normal(110, 30, (40, 108)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).resize((1080, 430)).convert("RGB").save(picture)
    for number in range(scans):
        case = f"patient{number:03d}_ed"
        scores += [score(case, name, 0.88 + 0.1 * number / scans, group=f"G{number % 3}") for name in ("RV", "LV")]
        pictures[case] = picture
    calibration = {"expected_calibration_error": 0.04, "region": "voxels near a structure", "bins": BINS}
    voxels = np.arange(BINS, dtype=float)
    write_report(
        checkpoint=checkpoint(),
        scores=scores,
        summary={"split": "test", **aggregate(scores), "calibration": calibration},
        overlays=pictures,
        output=folder / "report.html",
        calibration=np.stack([voxels, 0.9 * voxels, 0.8 * voxels]),
    )
    return folder / "report.html"


def show(report: Path, width: int) -> dict[str, Any]:
    probed = report.with_name("probed.html")
    probed.write_text(report.read_text().replace("</body>", f"{PROBE}</body>"))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"]
    command += [f"--user-data-dir={report.parent / 'profile'}", f"--window-size={width},900", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = re.search(r'<pre id="found">(.*?)</pre>', dom)
    assert found
    return dict(json.loads(html.unescape(found[1])))


# A window of Chromium is at least 500 pixels wide; the layout of a phone begins at 600.
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 500])
def test_it_fits_the_window_and_its_slices_are_enlarged_by_the_keyboard(tmp_path: Path, width: int) -> None:
    found = show(write(tmp_path, 4), width)
    assert found["window"] == width
    assert found["page"] <= width
    if width == 1280:
        assert not any(found["scrolls"])
    assert found["focused"]
    assert found["enlarged"] >= 1400 > found["before"]
    assert found["covers"] == [0, 0, width, found["height"]]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_two_hundred_scans_are_a_small_page_that_opens_at_once(tmp_path: Path) -> None:
    report = write(tmp_path, 200)
    assert report.stat().st_size < 9_000_000
    found = show(report, 1280)
    assert 50 < found["pictures"] <= 200
    # A second on an idle machine; tests share theirs.
    assert found["ready"] < 60_000
