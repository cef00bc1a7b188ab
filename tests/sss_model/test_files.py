"""Files and checkpoints, and the same work on many files at once."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from sss_model import parallel
from sss_model.checkpoint import load_checkpoint
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically
from sss_model.network.base import ClipBatch
from sss_model.parallel import for_each


@contextmanager
def little_room() -> Iterator[None]:
    """No file may grow beyond 1000 bytes, as on a full disk; the log that pytest itself writes to is one of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a" / "b.txt", b"new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]
    assert sha256(tmp_path / "a" / "b.txt") == hashlib.sha256(b"new").hexdigest()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old")
    with little_room(), pytest.raises(OSError, match="File too large"):
        write_atomically(tmp_path / "a.txt", bytes(5000))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.txt", b"old")]


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))


def test_a_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    assert loaded.meta.labels == {"background": 0, "cavity": 1, "wall": 2, "crescent": 3}
    assert loaded.meta.steps == 4
    assert loaded.meta.data_version == "0" * 32
    assert len(loaded.meta.patients.labelled) == 1
    assert set(loaded.meta.patients.labelled) < set(loaded.meta.patients.unlabelled)
    assert not set(loaded.meta.patients.validation) & set(loaded.meta.patients.unlabelled)
    assert loaded.history["val_dice"].notna().sum() == 2
    assert loaded.network()(ClipBatch(torch.zeros(1, 3, 64, 64))).logits.shape == (1, 4, 64, 64)


def test_another_configuration_is_refused(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text())
    meta["config"]["model"]["decoder_channels"] = 16
    (copy / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"does not fit the network that meta\.json describes \(micro, 16 decoder"):
        load_checkpoint(copy).network()


def test_a_recipe_of_another_version_is_refused(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text())
    meta["config"]["predict"]["largest"] = meta["config"]["predict"].pop("largest_component")
    (copy / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(
        InputError, match=r"meta\.json: a checkpoint of another version \(recipe: unknown key predict\."
    ):
        load_checkpoint(copy)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint there; expected a folder with weights\.pt and meta\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["weights.pt", "history.csv"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"{name}: (missing from the checkpoint|no such checkpoint)"):
        load_checkpoint(copy)


def test_damaged_weights_are_refused(copy: Path) -> None:
    path = copy / "weights.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"weights\.pt: damaged, or not a file that holds only weights"):
        load_checkpoint(copy)


@pytest.mark.parametrize("text", ["{}", "not json", '{"method": 3}'])
def test_a_meta_that_is_none_of_ours_is_refused(copy: Path, text: str) -> None:
    (copy / "meta.json").write_text(text)
    with pytest.raises(InputError, match=r"meta\.json: .*; expected the meta\.json of a checkpoint"):
        load_checkpoint(copy)


def test_a_log_gets_plain_lines_only_of_work_that_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert for_each(abs, [-1, -2, -3], description="Unpacking a.zip") == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(parallel, "_SECONDS_A_LINE", 0.0)
    for_each(abs, [-1, -2], description="Unpacking a.zip")
    assert capsys.readouterr() == ("", "Unpacking a.zip: 1 of 2\nUnpacking a.zip: 2 of 2\n")
