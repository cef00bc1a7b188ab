"""A folder that is changed as a whole, and an import that goes on with the same bytes after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.samples import write_btcv_slices, write_folder
from support.scans import write_acdc

from sss_model.data import importing, staging
from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.staging import replacing, restore_replaced
from sss_model.errors import InputError
from sss_model.files import write_atomically
from tests.sss_model.data.test_import import zipped

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


# What a kill can come before: audit events of all that an import changes on the disk.
EVENTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "shutil.copyfile"}
Files = dict[str, bytes]


def a_folder(tmp_path: Path) -> tuple[str, Path]:
    """Scans that are copied."""
    return "acdc", write_acdc(tmp_path / "training", {f"patient{number:03d}": "NOR" for number in range(1, 5)})


def a_zip_in_a_zip(tmp_path: Path) -> tuple[str, Path]:
    layout, folder = a_folder(tmp_path)
    (tmp_path / "downloads").mkdir()
    zipped(tmp_path / "downloads" / "part.zip", folder)
    return layout, zipped(tmp_path / "outer.zip", tmp_path / "downloads")


def a_folder_of_zips(tmp_path: Path) -> tuple[str, Path]:
    _, folder = a_folder(tmp_path / "source")
    (tmp_path / "downloads").mkdir()
    zipped(tmp_path / "downloads" / "training.zip", folder)
    return "acdc", tmp_path / "downloads"


def slices(tmp_path: Path) -> tuple[str, Path]:
    """Scans that are made of pictures."""
    return "btcv", write_btcv_slices(tmp_path / "slices")


def masks(tmp_path: Path) -> tuple[str, Path]:
    """Scans that are copied, with masks that are numbered anew."""
    return "folder", write_folder(tmp_path / "mine")


def contents(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def attempt(*arguments: Any, before: int, below: Path, **options: Any) -> int:
    """Import in a process that kills itself before it changes the disk for the so-manieth time; its exit code.

    Args:
        below: the folder in which changes count.
    """

    def watched() -> None:
        count = 0

        def audit(event: str, said: tuple[Any, ...]) -> None:
            nonlocal count
            if event not in EVENTS or str(below) not in str(said[0]):
                return
            writes = event != "open" or set("wx+") & set(str(said[1] or "r"))
            count += bool(writes)
            if writes and count == before:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)
        try:
            import_dataset(*arguments, **options)
        except InputError:
            os._exit(2)

    child = multiprocessing.get_context("fork").Process(target=watched)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.parametrize("make", [a_folder, a_zip_in_a_zip, a_folder_of_zips, slices, masks])
@pytest.mark.parametrize("replaces", [False, True], ids=["new", "replaces"])
def test_killed_again_and_again_it_ends_with_the_same_bytes(
    make: Callable[[Path], tuple[str, Path]], replaces: bool, tmp_path: Path
) -> None:
    layout, source = make(tmp_path)
    import_dataset(layout, source, tmp_path / "whole")
    wanted, old = contents(tmp_path / "whole"), {"old.txt": b"mine"} if replaces else {}
    data = tmp_path / "data"
    if replaces:
        (data / "it").mkdir(parents=True)
        (data / "it/old.txt").write_bytes(b"mine")
    kills, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        ended = attempt(layout, source, data / "it", replace=replaces, before=3 * kills + 1, below=data)
        kills += ended == -signal.SIGKILL
        seen = contents(data / "it") if (data / "it").exists() else {}
        assert seen in ({}, old, wanted), "nothing that looks finished and isn't"
    assert kills > 5
    import_dataset(layout, source, data / "it", replace=True)
    assert contents(data / "it") == wanted
    assert [path.name for path in data.iterdir()] == ["it"], "what was left beside it is gone"


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Path]:
    """A source, and a destination into which its import was killed when half of its 8 cases had been converted."""
    _, source = a_folder(tmp_path)
    destination = tmp_path / "data/acdc"
    records = 0
    for before in range(20, 80, 4):
        assert attempt("acdc", source, destination, before=before, below=destination.parent) == -signal.SIGKILL
        records = len(list(staging.folder_of(destination).glob("records/*.json")))
        if records >= 4:
            break
    assert 4 <= records < 8
    return source, destination


def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases that are converted from now on, as they are."""
    cases: list[str] = []
    inspect = importing.inspect_case

    def watched(files: Any, labels: dict[str, int]) -> Any:
        cases.append(files.case)
        return inspect(files, labels)

    monkeypatch.setattr(importing, "inspect_case", watched)
    return cases


def test_what_was_converted_is_not_converted_again(begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, destination = begun
    done = {path.stem for path in staging.folder_of(destination).glob("records/*.json")}
    cases = converted(monkeypatch)
    summary = str(import_dataset("acdc", source, destination))
    assert set(cases) == {files.case for files in open_dataset(destination).cases} - done
    assert f"Note: {len(done)} of 8 cases are of an import that was cut off." in summary


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: bytes(len(data)), None])
def test_a_file_that_is_not_as_it_was_recorded_is_made_again(
    begun: tuple[Path, Path], tmp_path: Path, spoil: Callable[[bytes], bytes] | None
) -> None:
    source, destination = begun
    folder = staging.folder_of(destination)
    case = min(path.stem for path in folder.glob("records/*.json"))
    image, label = folder.glob(f"new/*/{case}*.nii.gz")
    for path in (image, label):
        if spoil:
            path.write_bytes(spoil(path.read_bytes()))
        else:
            path.unlink()
    import_dataset("acdc", source, destination)
    import_dataset("acdc", source, tmp_path / "whole")
    assert contents(destination) == contents(tmp_path / "whole")


def test_a_file_of_a_zip_that_is_not_whole_is_unpacked_again(tmp_path: Path) -> None:
    _, folder = a_folder(tmp_path)
    source, destination = zipped(tmp_path / "acdc.zip", folder), tmp_path / "data/acdc"
    import_dataset("acdc", source, tmp_path / "whole")
    attempt("acdc", source, destination, before=30, below=destination.parent)
    unpacked = sorted(staging.folder_of(destination).glob("unpacked/*/*/*.nii.gz"))
    assert unpacked
    unpacked[0].write_bytes(bytes(unpacked[0].stat().st_size))
    import_dataset("acdc", source, destination)
    assert contents(destination) == contents(tmp_path / "whole")


@pytest.mark.parametrize("change", ["source", "seed"])
def test_work_of_another_import_is_not_gone_on_with(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    source, destination = begun
    if change == "source":
        os.utime(next(source.rglob("*_gt.nii.gz")), (1, 1))
    cases = converted(monkeypatch)
    import_dataset("acdc", source, destination, seed=1 if change == "seed" else 0)
    assert len(cases) == 8


def test_one_import_at_a_time_makes_a_data_set(tmp_path: Path) -> None:
    _, source = a_folder(tmp_path)
    destination = tmp_path / "data/acdc"
    with (
        staging.staging_for(destination, "another") as work,
        pytest.raises(InputError, match="acdc: another import into it is at work; expected one at a time"),
    ):
        import_dataset("acdc", source, destination)
    assert not work.folder.exists()


def test_an_interrupted_import_keeps_its_work_and_a_failed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, source = a_folder(tmp_path)
    destination = tmp_path / "data/acdc"

    def import_that_ends_with(error: BaseException) -> bool:
        def refuse(*_: Any, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patch, pytest.raises(type(error)):
            patch.setattr("sss_model.data.importing.write_dataset", refuse)
            import_dataset("acdc", source, destination)
        return staging.folder_of(destination).exists()

    assert import_that_ends_with(KeyboardInterrupt())
    assert not import_that_ends_with(OSError(28, "No space left on device"))
    assert list(destination.parent.iterdir()) == []


def test_the_command_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    _, source = a_folder(tmp_path)
    with zipfile.ZipFile(tmp_path / "acdc.zip", "w") as archive:
        for number in range(20):
            for path in (source / "patient001").iterdir():
                name = path.name.replace("patient001", f"patient{number:03d}")
                archive.writestr(f"patient{number:03d}/{name}", path.read_bytes())
    command = [
        sys.executable,
        "-c",
        "from sss_ops.cli import main; main()",
        "import",
        "acdc",
        "acdc.zip",
        "data/acdc",
    ]
    work = staging.folder_of(tmp_path / "data/acdc")
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as first:
        while first.poll() is None and len(list(work.glob("records/*.json"))) < 5:
            time.sleep(0.005)
        first.kill()
    assert first.returncode == -signal.SIGKILL
    assert not (tmp_path / "data/acdc").exists()
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "of 40 cases are of an import that was cut off." in said
    import_dataset("acdc", tmp_path / "acdc.zip", tmp_path / "whole")
    assert contents(tmp_path / "data/acdc") == contents(tmp_path / "whole")
