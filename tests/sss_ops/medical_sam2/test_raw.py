"""Raw data are read where they lie, once, and never written to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sss_model.data.canonical import open_dataset
from sss_model.errors import InputError
from sss_ops.medical_sam2.run import canonical_copy, refuse_inside
from tests.sss_ops.medical_sam2.conftest import LINES

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
