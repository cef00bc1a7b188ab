from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sss_model.files import sha256, write_atomically


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
