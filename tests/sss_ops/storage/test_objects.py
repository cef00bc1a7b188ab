"""Checkpoints in an object store."""

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
