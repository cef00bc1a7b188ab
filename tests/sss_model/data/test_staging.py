"""A folder that is changed as a whole, also when its process is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sss_model.data.staging import replacing, restore_replaced
from sss_model.files import write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from sss_model.data.staging import replacing
rename, at = Path.rename, int(sys.argv[2])
done = []
def dying(self, target):
    if len(done) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(target)
    return rename(self, target)
Path.rename = dying
with replacing(Path(sys.argv[1])) as staged:
    (staged / "a").unlink()
    (staged / "a").write_text("new")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("old")
    (folder / "deep" / "b").write_text("same")
    return folder


def test_a_changed_copy_takes_the_place_and_what_is_the_same_is_not_written_twice(folder: Path) -> None:
    inode = (folder / "deep" / "b").stat().st_ino
    with replacing(folder) as staged:
        write_atomically(staged / "a", b"new")
        assert (folder / "a").read_text() == "old"
    assert (folder / "a").read_text() == "new"
    assert (folder / "deep" / "b").stat().st_ino == inode
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


def test_an_exception_leaves_all_as_it_was(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(folder) as staged:
        write_atomically(staged / "a", b"new")
        _ = 1 / 0
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


def test_links_stay_links(folder: Path) -> None:
    (folder / "link").symlink_to("deep/b")
    with replacing(folder):
        pass
    assert (folder / "link").readlink() == Path("deep/b")


@pytest.mark.parametrize("renames", [0, 1])
def test_after_a_kill_the_folder_is_put_right(folder: Path, renames: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(renames)])
    assert done.returncode == -signal.SIGKILL
    assert folder.exists() == (renames == 0)
    restore_replaced(folder)
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["data"]
