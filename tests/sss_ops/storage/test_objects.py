"""Checkpoints in an object store, and `sss checkpoint`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.file_server import FileServer
from support.object_store import object_store

from sss_model.config import Config
from sss_model.errors import InputError
from sss_ops.cli import main
from sss_ops.storage.download import DownloadInterruptedError, part_of
from sss_ops.storage.objects import StoredObject
from sss_ops.storage.pretrained import fetch_pretrained, pretrained_file

BUCKET = "sss-weights"
URI = f"s3://{BUCKET}/team/own.pt"
CONTENT = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), [BUCKET]) as (_, environment):
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket with one object, and the environment that leads to it."""
    monkeypatch.chdir(tmp_path)
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.Session().resource("s3").Bucket(BUCKET)
    bucket.put_object(Key="team/own.pt", Body=CONTENT)
    return bucket


def get(uri: str = URI) -> Path:
    return fetch_pretrained(uri, version="2.1")


def test_an_object_is_downloaded_once(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = get()
    assert path.name == "own.pt"
    assert path.read_bytes() == CONTENT
    monkeypatch.delattr(StoredObject, "read_from")
    assert get() == path


def test_new_bytes_under_an_old_address_are_another_file(bucket: Any) -> None:
    old = get()
    bucket.put_object(Key="team/own.pt", Body=b"new")
    new = get()
    assert (old.read_bytes(), new.read_bytes()) == (CONTENT, b"new")


def test_a_cut_download_goes_on(bucket: Any) -> None:
    path = get()
    part = path.rename(part_of(path, StoredObject.at(URI).version))
    os.truncate(part, 1 << 20)
    offsets = []
    read_from = StoredObject.read_from

    def cut_once(self: StoredObject, offset: int) -> Iterator[tuple[int, bytes]]:
        offsets.append(offset)
        for position, piece in read_from(self, offset):
            yield position, piece
            if len(offsets) == 1:
                raise DownloadInterruptedError("cut")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredObject, "read_from", cut_once)
        patch.setattr("sss_ops.storage.download._WAIT_SECONDS", 0)
        assert get().read_bytes() == CONTENT
    assert offsets == [1 << 20, (1 << 20) + (1 << 16)]


def test_a_replaced_object_is_not_mixed_with_the_old_one(bucket: Any) -> None:
    source = StoredObject.at(URI)
    bucket.put_object(Key="team/own.pt", Body=os.urandom(len(CONTENT)))
    with pytest.raises(InputError, match=f"{URI}: the object store answers "):
        list(source.read_from(1000))


def test_an_object_called_as_one_of_metas_must_be_it(bucket: Any, web: FileServer) -> None:
    (content,) = web.files.values()
    uri = f"s3://{BUCKET}/sam2.1_hiera_small.pt"
    bucket.put_object(Key="sam2.1_hiera_small.pt", Body=content)
    assert get(uri).read_bytes() == content
    bucket.put_object(Key="sam2.1_hiera_small.pt", Body=content[:-1])
    with pytest.raises(InputError, match=f"{uri}: 5242879 bytes; expected the 5242880 of Meta's sam2.1_hiera_small.pt"):
        get(uri)


def test_a_recipe_may_name_an_object(bucket: Any, recipe: Callable[..., Config]) -> None:
    path = pretrained_file(recipe({"model.checkpoint": URI}).model, Path("kept"))
    assert path is not None
    assert path.is_relative_to("kept")
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("uri", "environment", "sentence"),
    [
        (f"s3://{BUCKET}/none.pt", {}, "none.pt: the object store answers 404; expected a bucket and an object that"),
        ("s3://nowhere/own.pt", {}, "answers 404; expected a bucket and an object that exist"),
        (URI, {"AWS_SECRET_ACCESS_KEY": "x"}, "answers 403; expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (URI, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect .*127.0.0.1:9.*; expected"),
        (f"s3://{BUCKET}", {}, "not an object's address; expected s3://BUCKET/KEY"),
    ],
)
def test_an_object_that_cannot_be_had_is_one_sentence(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, uri: str, environment: dict[str, str], sentence: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=sentence) as caught:
        get(uri)
    assert "\n" not in str(caught.value)


Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sss(web: FileServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sss:
    """Runs the command line; returns its exit code, what it said and its errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sss", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capfd.readouterr())

    return run


def test_get_fetches_and_the_second_time_finds_it(sss: Sss, web: FileServer) -> None:
    code, said, _ = sss("checkpoint", "get", "small")
    lines = said.splitlines()
    assert (code, lines[-1]) == (0, "checkpoints/sam2.1_hiera_small.pt: 5 MB, SHA-256 as expected")
    assert lines[-2] == "sam2.1_hiera_small.pt: 5.2 of 5.2 MB"
    assert len(lines) <= 12, "a log would fill up"
    code, said, _ = sss("checkpoint", "get", "small")
    assert (code, said.splitlines()) == (0, lines[-1:])
    assert len(web.asked) == 1


def test_get_takes_a_version_a_folder_and_a_mirror(sss: Sss, web: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSS_CHECKPOINT_MIRROR")
    code, _, _ = sss("checkpoint", "get", "sam2.1_hiera_small", "--to", "kept", "--mirror", f"{web.address}/")
    assert code == 0
    assert Path("kept/sam2.1_hiera_small.pt").is_file()
    code, _, error = sss("checkpoint", "get", "small", "--version", "2.0", "--mirror", web.address)
    assert code == 2
    assert error.startswith(f"error: {web.address}/072824/sam2_hiera_small.pt: the server answers 404; expected")


@pytest.mark.parametrize("name", ["huge", "params.yaml", "s3://bucket"])
def test_what_cannot_be_had_is_one_sentence_and_exit_code_2(sss: Sss, name: str) -> None:
    code, said, error = sss("checkpoint", "get", name)
    assert (code, said, len(error.splitlines())) == (2, "", 1)
    assert error.startswith(f"error: {name}: ")


def test_a_wrong_file_is_exit_code_2_and_stays(sss: Sss) -> None:
    path = Path("checkpoints/sam2.1_hiera_small.pt")
    path.parent.mkdir()
    path.write_bytes(b"half")
    code, said, error = sss("checkpoint", "get", "small")
    assert (code, said) == (2, "")
    assert error == f"error: {path}: 4 bytes; expected the 5242880 of Meta's sam2.1_hiera_small.pt\n"
    assert path.read_bytes() == b"half"


def test_list_says_what_is_here(sss: Sss, web: FileServer) -> None:
    def states() -> dict[str, str]:
        code, said, _ = sss("checkpoint", "list")
        assert code == 0
        rows = [line.split(maxsplit=4) for line in said.splitlines()[1:]]
        return {row[2]: row[4].strip() for row in rows}

    assert set(states().values()) == {"–"}
    assert len(states()) == 8
    sss("checkpoint", "get", "small")
    Path("checkpoints/.sam2.1_hiera_large.pt.part").write_bytes(bytes(3_000_000))
    Path("checkpoints/sam2_hiera_tiny.pt").write_bytes(b"?")
    found = {name: state for name, state in states().items() if state != "–"}
    assert found == {
        "sam2.1_hiera_small.pt": "yes",
        "sam2.1_hiera_large.pt": "3 MB of it",
        "sam2_hiera_tiny.pt": "another file",
    }
