"""Downloads that are cut off, refused, wrong, or wanted by several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.file_server import FileServer
from support.paths import ROOT

from sss_model.errors import InputError
from sss_ops.storage.pretrained import fetch_pretrained
from sss_ops.storage.published import Published

FOLDER = Path("checkpoints")
FETCH = """
import sys
from pathlib import Path
from types import SimpleNamespace
from sss_ops.storage import published
from sss_ops.storage.pretrained import fetch_pretrained
known = published.Published(*sys.argv[2:6], int(sys.argv[6]), sys.argv[7])
published.PUBLISHED = (known,)
fetch_pretrained(known.name, version="", folder=Path(sys.argv[1]))
"""


def get() -> Path:
    return fetch_pretrained("small", version="2.1", folder=FOLDER)


def listing() -> list[str]:
    return sorted(path.name for path in FOLDER.iterdir())


def content(web: FileServer) -> bytes:
    (whole,) = web.files.values()
    return whole


def test_a_download_is_whole_and_made_once(web: FileServer, known: Published) -> None:
    assert get() == FOLDER / known.file
    assert get().read_bytes() == content(web)
    assert listing() == [known.file]
    assert web.asked == [(f"/{known.release}/{known.file}", None)]


def test_a_cut_connection_is_taken_up_where_it_broke(web: FileServer) -> None:
    web.cuts = [1 << 20, 2 << 20]
    assert get().read_bytes() == content(web)
    assert [wanted for _, wanted in web.asked] == [None, f"bytes={1 << 20}-", f"bytes={3 << 20}-"]


def test_another_process_goes_on_from_what_an_earlier_one_left(web: FileServer) -> None:
    web.cuts = [3 << 20] + [0] * 5
    with pytest.raises(InputError, match=r"Connection broken.*; expected a file, 3145728 bytes of it are kept"):
        get()
    assert listing() == [".sam2.1_hiera_small.pt.part"]
    web.asked.clear()
    assert get().read_bytes() == content(web)
    assert [wanted for _, wanted in web.asked] == ["bytes=3145728-"]
    assert listing() == ["sam2.1_hiera_small.pt"]


def test_a_server_that_cannot_resume_starts_over(web: FileServer) -> None:
    web.ranges, web.cuts = False, [3 << 20]
    assert get().read_bytes() == content(web)
    assert [wanted for _, wanted in web.asked] == [None, "bytes=3145728-"]


def test_a_download_that_only_lacked_its_name_asks_nobody(web: FileServer) -> None:
    FOLDER.mkdir()
    (FOLDER / ".sam2.1_hiera_small.pt.part").write_bytes(content(web))
    assert get().read_bytes() == content(web)
    assert web.asked == []


def test_a_server_that_is_busy_for_a_while_is_asked_again(web: FileServer) -> None:
    web.failures = [503, 429]
    assert get().read_bytes() == content(web)


def test_other_bytes_are_refused_and_not_kept(web: FileServer, known: Published) -> None:
    right, wrong = content(web), content(web)[:-1] + b"?"
    web.files = dict.fromkeys(web.files, wrong)
    sentence = f"{web.address}/092824/.*: its SHA-256 is [0-9a-f]{{64}}; expected {known.sha256}, of Meta's"
    with pytest.raises(InputError, match=sentence):
        get()
    assert listing() == []
    web.files = dict.fromkeys(web.files, right)
    assert get().read_bytes() == right


def test_a_beginning_that_belongs_to_another_file_is_found_out(web: FileServer) -> None:
    FOLDER.mkdir()
    (FOLDER / ".sam2.1_hiera_small.pt.part").write_bytes(b"?" * 1000)
    with pytest.raises(InputError, match="its SHA-256 is"):
        get()
    assert get().read_bytes() == content(web)


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("size", [1000, 6 << 20])
def test_a_file_of_another_size_is_refused(web: FileServer, announces: bool, size: int) -> None:
    web.files, web.announces = dict.fromkeys(web.files, bytes(size)), announces
    with pytest.raises(InputError, match=r"092824/sam2\.1_hiera_small\.pt: .* bytes.*; expected "):
        get()
    assert "sam2.1_hiera_small.pt" not in listing()


@pytest.mark.parametrize("size", [0, 1000, 5 << 20])
def test_a_wrong_file_that_is_here_is_named_and_left_alone(web: FileServer, size: int) -> None:
    FOLDER.mkdir()
    (FOLDER / "sam2.1_hiera_small.pt").write_bytes(bytes(size))
    with pytest.raises(InputError, match=r"^checkpoints/sam2\.1_hiera_small\.pt: .*; expected"):
        get()
    assert (FOLDER / "sam2.1_hiera_small.pt").read_bytes() == bytes(size)
    assert web.asked == []


@pytest.mark.parametrize(
    ("mirror", "sentence"),
    [
        ("{}/elsewhere", "elsewhere/092824/.*: the server answers 404; expected a file to be there"),
        ("http://127.0.0.1:9", r"127\.0\.0\.1:9/.*Connection refused; expected a file, nothing came"),
        ("ftp://127.0.0.1", "not an address of the web; expected http"),
        ("nonsense", "not an address of the web; expected http"),
    ],
)
def test_a_mirror_that_has_it_not_is_one_sentence(
    web: FileServer, monkeypatch: pytest.MonkeyPatch, mirror: str, sentence: str
) -> None:
    monkeypatch.setenv("SSS_CHECKPOINT_MIRROR", mirror.format(web.address))
    with pytest.raises(InputError, match=sentence) as caught:
        get()
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_one_is_refused(web: FileServer) -> None:
    FOLDER.write_text("a file")
    with pytest.raises(InputError, match="checkpoints: can't be written; expected a folder"):
        get()


def test_of_many_processes_one_downloads_and_all_find_it(web: FileServer, known: Published) -> None:
    command = [sys.executable, "-c", FETCH, str(FOLDER), *map(str, known)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(timeout=60) for process in started] == [0] * 4
    assert len(web.asked) == 1
    assert listing() == [known.file]


def test_a_disk_without_room_is_told_of_before_anything_comes(web: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(InputError, match=r"checkpoints: 5\.2 MB are to come and 1\.0 MB are free; expected room"):
        get()
    assert web.asked == []
