"""A folder's hashes are as sha256sum writes and checks them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.checksums import SUMS_FILE, changed_since, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("b", "a b", "in/c"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_sha256sum_writes_the_same(folder: Path) -> None:
    names = ["a b", "b", "in/c"]
    expected = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert write_sums(folder) == sha256(folder / SUMS_FILE)
    assert (folder / SUMS_FILE).read_text() == expected
    assert changed_since(folder) == []


def test_every_kind_of_change_is_a_sentence(folder: Path) -> None:
    write_sums(folder)
    (folder / "a b").unlink()
    (folder / "in/c").write_text("other")
    (folder / "new").write_text("")
    missing, changed, added = changed_since(folder)
    assert missing.startswith("a b: missing; expected a file with SHA-256 ")
    assert changed.startswith("in/c: changed, SHA-256 ")
    assert added == "new: was added; expected no such file, as registered"


@pytest.mark.parametrize("text", ["", "abc  b\n", b"\xff\xfe"])
def test_what_holds_no_hashes_is_refused(folder: Path, text: str | bytes) -> None:
    (folder / SUMS_FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    if text == "":
        assert len(changed_since(folder)) == 3
        (folder / SUMS_FILE).unlink()
    with pytest.raises(InputError, match=r"SHA256SUMS: (can't be read|no such file)"):
        changed_since(folder)
