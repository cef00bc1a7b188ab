"""`sss fetch` from an object store, and `sss train` from a registered model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import mlflow
import pytest
import yaml
from support.object_store import object_store

from sss_model.checkpoint import load_checkpoint, read_meta
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.cli import main
from sss_ops.serving.package import register_model
from sss_ops.steps import train_distributed
from sss_ops.storage.download import part_of
from sss_ops.storage.fetch import FetchedObjects, fetch_objects
from sss_ops.storage.objects import StoredObject, list_objects
from sss_ops.storage.parent_model import pinned_recipe
from sss_ops.tracking.store import tracking_client

BUCKET = "sss-exports"
CONTENT = {"scans/a.nii": os.urandom(700_000), "scans/deep/er/b.nii": os.urandom(10), "scans/empty": b""}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), [BUCKET]) as (_, environment):
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.Session().resource("s3").Bucket(BUCKET)
    bucket.objects.delete()
    for key, content in (CONTENT | {"scans/deep/": b"", "scans-of-others/c": b"c"}).items():
        bucket.put_object(Key=key, Body=content)
    return bucket


def bring(folder: Path, uri: str = f"s3://{BUCKET}/scans") -> FetchedObjects:
    return fetch_objects(uri, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_under_a_prefix_arrives_and_nothing_beside_it(bucket: Any, tmp_path: Path) -> None:
    fetched = bring(tmp_path)
    assert files(tmp_path) == {key.removeprefix("scans/"): content for key, content in CONTENT.items()}
    assert (fetched.new, fetched.kept, fetched.bytes, fetched.by_size_alone) == (3, 0, 700_010, 0)


def test_what_is_there_and_right_is_left_alone_and_the_rest_is_replaced(bucket: Any, tmp_path: Path) -> None:
    bring(tmp_path)
    (tmp_path / "a.nii").write_bytes(bytes(700_000))
    before = (tmp_path / "deep/er/b.nii").stat().st_mtime_ns
    fetched = bring(tmp_path)
    assert (fetched.new, fetched.kept) == (1, 2)
    assert (tmp_path / "a.nii").read_bytes() == CONTENT["scans/a.nii"]
    assert (tmp_path / "deep/er/b.nii").stat().st_mtime_ns == before


def test_a_part_that_an_earlier_attempt_left_is_gone_on_from(bucket: Any, tmp_path: Path) -> None:
    remote = StoredObject.at(f"s3://{BUCKET}/scans/a.nii")
    part_of(tmp_path / "a.nii", remote.version).write_bytes(CONTENT["scans/a.nii"][:600_000])
    assert bring(tmp_path, remote.address).bytes == 100_000
    assert files(tmp_path) == {"a.nii": CONTENT["scans/a.nii"]}


def test_damaged_bytes_are_refused_and_do_not_stay(bucket: Any, tmp_path: Path) -> None:
    remote = StoredObject.at(f"s3://{BUCKET}/scans/a.nii")
    part_of(tmp_path / "a.nii", remote.version).write_bytes(bytes(600_000))
    with pytest.raises(InputError, match="what came is not the object"):
        bring(tmp_path, remote.address)
    assert files(tmp_path) == {}
    assert bring(tmp_path, remote.address).new == 1


def test_an_object_sent_in_parts_is_checked_too(bucket: Any, tmp_path: Path) -> None:
    content = os.urandom(17 << 20)  # boto3 sends parts of 8 MB
    (tmp_path / "big").write_bytes(content)
    bucket.upload_file(str(tmp_path / "big"), "scans/big")
    assert "-3" in bucket.Object("scans/big").e_tag
    assert bring(tmp_path / "there", f"s3://{BUCKET}/scans/big").by_size_alone == 0
    assert (tmp_path / "there/big").read_bytes() == content


@pytest.mark.parametrize("key", ["scans/../../out", "scans//out", "scans/a\\..\\out", "scans/./out"])
def test_a_key_that_would_leave_the_folder_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="would not stay in"):
        list_objects(f"s3://{BUCKET}/scans", Listed(key))


def test_a_link_in_the_folder_that_leads_elsewhere_is_not_followed(bucket: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/deep").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads out of"):
        bring(tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_key_that_is_a_file_and_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="a file and a folder at once"):
        list_objects(f"s3://{BUCKET}/scans", Listed("scans/a", "scans/a/b"))


class Listed:
    """A store with keys that a careful one would not take."""

    def __init__(self, *keys: str) -> None:
        self.page = {"Contents": [{"Key": key, "Size": 1, "ETag": '"0"'} for key in keys]}

    def get_paginator(self, name: str) -> Listed:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [self.page]


@pytest.mark.parametrize(
    ("environment", "uri", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, f"s3://{BUCKET}/scans", "expected AWS_ACCESS_KEY_ID and"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, f"s3://{BUCKET}/scans", "Could not connect"),
        ({}, "s3://sss-nowhere/scans", "NoSuchBucket; expected a bucket that exists"),
        ({}, f"s3://{BUCKET}/nothing", "no objects are there"),
        ({}, "scans", "expected s3://BUCKET/PREFIX"),
    ],
)
def test_what_a_store_refuses_is_one_sentence_and_leaves_nothing(
    bucket: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    environment: dict[str, str],
    uri: str,
    expected: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["sss", "fetch", uri, str(tmp_path / "there")])
    with pytest.raises(SystemExit) as ended:
        main()
    sentence = capfd.readouterr().err
    assert ended.value.code == 2
    assert sentence.startswith("error: ") and len(sentence.splitlines()) == 1 and expected in sentence
    assert not (tmp_path / "there").exists()


def test_a_disk_without_room_is_told_of_first_and_a_full_one_is_no_end(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(InputError, match=r"0\.7 MB are to come and 0\.5 MB are free"):
            bring(disk / "there")
        assert list(disk.iterdir()) == []
        # Another program may fill it meanwhile.
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 40))
        with pytest.raises(OSError, match="No space left"):
            bring(disk / "there")
        assert not (disk / "there/a.nii").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_two_that_fetch_into_one_folder_at_once_end_alike(bucket: Any, tmp_path: Path) -> None:
    program = "from sss_ops.cli import main; main()"
    command = [sys.executable, "-c", program, "fetch", f"s3://{BUCKET}/scans", str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    assert files(tmp_path) == {key.removeprefix("scans/"): content for key, content in CONTENT.items()}
    assert sum(int(text.split(" files fetched")[0].rsplit(" ", 1)[1]) for text in said) == 3


Train = Callable[..., int]


def from_model(name: str) -> dict[str, object]:
    return {"train.init_from": name, "train.steps": 1}


def register(checkpoint: Path) -> mlflow.MlflowClient:
    client = tracking_client()
    Path("card.md").write_text("A card.")
    with mlflow.start_run():
        version = register_model(client, checkpoint, name="heart", tags={}, card=Path("card.md"))
    client.set_registered_model_alias("heart", "champion", version)
    return client


def test_a_training_goes_on_from_the_champion_and_records_which_version_that_was(
    sss_train: Train, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(checkpoint)
    assert sss_train(from_model("models:/heart@champion"), "tuned") == 0
    tuned = load_checkpoint(Path("tuned"))
    assert tuned.meta.origin is not None
    assert tuned.meta.origin.model == tuned.config.train.init_from == "models:/heart/1"
    assert tuned.meta.origin.weights_sha256 == sha256(checkpoint / "weights.pt")
    assert tuned.meta.origin.patients == read_meta(checkpoint / "meta.json").patients

    recipes: list[str] = []
    monkeypatch.setattr(
        train_distributed.subprocess,
        "run",
        lambda command: (
            recipes.append(Path(command[command.index("--params") + 1]).read_text())
            or type("Done", (), {"returncode": 0})
        ),
    )
    paths = dict.fromkeys(("data_dir", "manifest", "data_version", "output"), tmp_path)
    train_distributed.train_on_gpus(params=Path("params.yaml"), **paths, work="/sss/work", gpus=2)
    assert yaml.safe_load(recipes[0])["train"]["init_from"] == "models:/heart/1"


def test_a_folder_is_a_model_too_and_an_alias_is_looked_up_when_it_is_used(sss_train: Train, checkpoint: Path) -> None:
    client = register(checkpoint)
    assert sss_train(from_model(str(checkpoint)), "child") == 0
    register(Path("child"))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(str(checkpoint), "models:/heart@champion"))
    for version in ("2", "1"):
        client.set_registered_model_alias("heart", "champion", version)
        with pinned_recipe(Path("params.yaml")) as exact:
            assert yaml.safe_load(exact.read_text())["train"]["init_from"] == f"models:/heart/{version}"


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("models:/heart/7/weights", "train.init_from: models:/heart/7/weights: not the address of a model; expected"),
        ("models:/heart@champion", "train.init_from: heart: no such model"),
        ("models:/heart/7", "train.init_from: heart: no such model"),
        ("nowhere", "nowhere: no checkpoint there; expected a folder with weights.pt and meta.json"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(
    sss_train: Train, capfd: pytest.CaptureFixture[str], named: str, sentence: str
) -> None:
    assert sss_train(from_model(named), "tuned") == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {sentence}")
    assert not Path("tuned").exists()
    assert not Path(".runs").exists()
