"""The report as a browser shows it: at a desk, on a phone, with the keyboard, and with 200 scans."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.scores import score

from sss_model.evaluation.calibration import BINS
from sss_model.evaluation.report import write_report
from sss_model.evaluation.summary import aggregate
from tests.sss_model.evaluation.test_report import checkpoint

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

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


def test_two_hundred_scans_are_a_small_page_that_opens_at_once(tmp_path: Path) -> None:
    report = write(tmp_path, 200)
    assert report.stat().st_size < 9_000_000
    found = show(report, 1280)
    assert 50 < found["pictures"] <= 200
    # A second on an idle machine; tests share theirs.
    assert found["ready"] < 60_000
