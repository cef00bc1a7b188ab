"""The paper's command lines on small samples, from raw data to a report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.sam2_checkpoints import write_checkpoint

from sss_model.checkpoint import load_checkpoint
from sss_model.data.canonical import open_dataset
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.medical_sam2.run import canonical_copy, main, refuse_inside, run
from sss_ops.storage import published
from sss_ops.storage.published import Published
from tests.sss_ops.medical_sam2.conftest import LINES

pytestmark = pytest.mark.usefixtures("store")
Raw = Callable[[str], Path]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    facts = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*")}
    return {name: (found.st_size, found.st_mtime_ns) for name, found in facts.items()}


@pytest.mark.parametrize("name", LINES)
def test_every_layout_gets_a_canonical_copy_outside(name: str, raw: Raw, tmp_path: Path) -> None:
    source = raw(name)
    before = snapshot(source)
    copy = canonical_copy(name.lower(), source, tmp_path / "cache")
    assert copy.is_relative_to(tmp_path / "cache")
    assert {row.split for row in open_dataset(copy).splits} == {"train", "val", "test"}
    assert snapshot(source) == before


def test_the_copy_is_made_again_where_the_source_has_changed_and_only_there(
    raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = raw("REFUGE")
    first = canonical_copy("refuge", source, tmp_path / "cache")
    assert "reading" in capsys.readouterr().out
    assert canonical_copy("refuge", source, tmp_path / "cache") == first
    assert capsys.readouterr().out == ""
    photograph = next(source.rglob("0001_cropped.jpg"))
    os.utime(photograph, (1, 1))
    assert canonical_copy("refuge", source, tmp_path / "cache") != first


def test_a_canonical_data_set_is_taken_as_it_is(raw: Raw, tmp_path: Path) -> None:
    copy = canonical_copy("refuge", raw("REFUGE"), tmp_path / "cache")
    assert canonical_copy("refuge", copy, tmp_path / "other") == copy
    assert not (tmp_path / "other").exists()


def test_nothing_is_written_below_the_raw_data(raw: Raw) -> None:
    source = raw("REFUGE")
    before = snapshot(source)
    for folder in (source, source / ".cache" / "raw"):
        with pytest.raises(InputError, match="would be written to"):
            refuse_inside(source, folder)
    with pytest.raises(InputError, match="would be written to"):
        canonical_copy("refuge", source, source / ".cache")
    assert snapshot(source) == before


@pytest.mark.parametrize("make", [False, True])
def test_data_that_are_not_there_or_of_another_layout_end_in_a_sentence(make: bool, tmp_path: Path) -> None:
    source = tmp_path / "data"
    if make:
        source.mkdir()
    with pytest.raises(InputError, match="data"):
        canonical_copy("btcv", source, tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


SMALL = {"image_size": 128, "sam_config": "sam2_hiera_micro", "sam_ckpt": "None", "steps": 2}
Words = Callable[..., list[str]]


def run_line(name: str, words: list[str]) -> dict[str, Any]:
    return run(LINES[name][0], words)


def recipe_of(experiment: str) -> dict[str, Any]:
    return yaml.safe_load(Path("runs", experiment, "recipe.yaml").read_text())


def small(name: str, **other: object) -> dict[str, object]:
    return SMALL | ({"out_size": 128} if name == "REFUGE" else {}) | other


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end before the training, whose recipe is then known."""
    monkeypatch.setattr("sss_ops.steps.train.train", lambda **_: None)
    monkeypatch.setattr(
        "sss_ops.steps.evaluate.evaluate", lambda **_: {"dice": None, "per_class": {}, "cases": 0, "prompt_source": ""}
    )


@pytest.mark.parametrize("name", LINES)
def test_a_command_line_trains_evaluates_and_reports(
    name: str, words: Words, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    source = raw(name)
    before = snapshot(source)
    summary = run_line(name, words(name, **small(name)))
    folder = Path("runs") / ("REFUGE_MedSAM2" if name == "REFUGE" else "BTCV_MedSAM2")
    assert json.loads((folder / "evaluation/summary.json").read_text()) == summary
    assert load_checkpoint(folder / "checkpoint").meta.steps == 2
    assert (folder / "evaluation/report.html").is_file()
    said = capsys.readouterr().out
    assert f"promptless Dice {summary['dice']:.3f} on {summary['cases']} test scans" in said
    assert "prompt_source: none" in said
    assert ("pictures: " in said) == (name == "REFUGE")
    assert snapshot(source) == before


def test_a_prompted_dice_stands_beside_the_promptless_one_and_gates_nothing(
    words: Words, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    raw("btcv")
    summary = run_line("btcv", words("btcv", **small("btcv"), method="sss"))
    said = capsys.readouterr().out
    assert "prompt_source: generated" in said
    assert "boxes of the test labels on one slice in 2, prompt_source: oracle; no promotion rests on it" in said
    assert summary["prompt_source"] == "generated"
    rows = Path("runs/BTCV_MedSAM2/oracle.csv").read_text().splitlines()
    assert len(rows) == 14
    assert all(",oracle," in row for row in rows[1:])


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(
    ("words_added", "reason"),
    [({}, "method weak_to_strong takes no prompt"), ({"method": "sss", "prompt": "click"}, "not there for clicks yet")],
)
def test_where_no_prompt_can_be_taken_a_line_says_so(
    words: Words, raw: Raw, capsys: pytest.CaptureFixture[str], words_added: dict[str, str], reason: str
) -> None:
    raw("btcv")
    run_line("btcv", words("btcv", **small("btcv"), **words_added))
    assert reason in capsys.readouterr().out


def test_a_line_is_taken_word_by_word_with_metas_weights(
    words: Words, raw: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the size, which is what a CPU can bear."""
    raw("REFUGE")
    (tmp_path / "checkpoints").mkdir()
    path = write_checkpoint(tmp_path / "checkpoints/sam2_hiera_small.pt", "small", "2.0", number=0.01)
    known = Published("small", "2.0", path.name, "072824", path.stat().st_size, sha256(path))
    monkeypatch.setattr(published, "PUBLISHED", (known,))
    monkeypatch.setattr(sys, "argv", ["train_2d.py", *words("REFUGE", image_size=64, out_size=64, steps=1)])
    main(2)
    meta = load_checkpoint(Path("runs/REFUGE_MedSAM2/checkpoint")).meta
    assert (meta.method, meta.pretrained_sha256) == ("sss", known.sha256)
    assert (meta.config.model.encoder, meta.config.train.batch) == ("small", 4)


def test_weights_that_are_not_metas_are_told_before_scans_are_read(words: Words, raw: Raw, tmp_path: Path) -> None:
    raw("REFUGE")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/sam2_hiera_small.pt").write_bytes(b"half")
    with pytest.raises(InputError, match="4 bytes; expected the 184309650"):
        run_line("REFUGE", words("REFUGE"))
    assert not Path("runs").exists()
    assert not Path(".cache").exists()


@pytest.mark.usefixtures("prepared")
def test_an_epoch_is_as_many_steps_as_show_the_labelled_slices(words: Words, raw: Raw) -> None:
    raw("btcv")  # ten labelled training slices of two patients
    run_line("btcv", words("btcv", **small("btcv"), exp_name="all", b=1))
    run_line("btcv", words("btcv", **small("btcv"), exp_name="one", b=1, labelled=1, val_freq=3))
    assert [recipe_of(name)["train"]["val_every"] for name in ("all", "one")] == [3, 6]


@pytest.mark.usefixtures("prepared")
def test_a_whole_photograph_is_seen_and_grey_values_have_no_window(words: Words, raw: Raw) -> None:
    for name in ("REFUGE", "btcv", "bhsd"):
        raw(name)
        run_line(name, words(name, **small(name), exp_name=name))
    assert recipe_of("REFUGE")["data"]["spacing_mm"] == 96 / 128
    assert recipe_of("btcv")["data"]["window"] is None
    assert recipe_of("bhsd")["data"]["window"] is not None


def test_a_finished_run_is_kept_and_a_trained_one_is_evaluated(
    words: Words, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    raw("REFUGE")
    line = words("REFUGE", **small("REFUGE"))
    first = run_line("REFUGE", line)
    with pytest.raises(InputError, match="-exp_name: runs/REFUGE_MedSAM2 holds a finished run"):
        run_line("REFUGE", line)
    Path("runs/REFUGE_MedSAM2/metrics.json").unlink()
    capsys.readouterr()
    assert run_line("REFUGE", line) == first
    assert "is trained; goes on with the evaluation" in capsys.readouterr().out
    Path("runs/REFUGE_MedSAM2/metrics.json").unlink()
    run_line("REFUGE", words("REFUGE", **small("REFUGE", steps=1)))
    assert load_checkpoint(Path("runs/REFUGE_MedSAM2/checkpoint")).meta.steps == 1
