"""Trainings whose machine goes away, and what an object store keeps of them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
import torch
import yaml
from support.object_store import object_store

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config, dump_config
from sss_model.data.manifest import build_manifest
from sss_model.errors import InputError
from sss_model.training.train import train
from sss_ops.storage.training_state import StateStore

BUCKET = "sss-work"
TRAINING = """
import sys, time
from pathlib import Path
from sss_ops.storage.training_state import StateStore
from sss_model.config import load_config
from sss_model.data.manifest import build_manifest
from sss_model.training.train import train
machine, data, cache, uri = sys.argv[1:]
work = Path(machine, "work")
pause = 1 if machine.endswith("slow") else 0
with StateStore(uri) as store:
    store.restore(work)
    print("restored", (work / "state.pt").exists(), flush=True)
    train(load_config(Path(machine, "params.yaml")), data_dir=Path(data),
        manifest=build_manifest(Path(data)), output=Path(machine, "checkpoint"), work_dir=work,
        cache_dir=Path(cache), data_version="0", manifest_sha256="0",
        on_metrics=lambda step, scalars: time.sleep(pause), on_save=store.save)
    store.forget()
"""
UPLOAD = """
import sys
from pathlib import Path
from sss_ops.storage.training_state import StateStore
with StateStore(sys.argv[1]) as store:
    store.save(Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), [BUCKET]) as (_, environment):
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket, and the environment that leads to it."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return boto3.Session().resource("s3").Bucket(BUCKET)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if condition():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("not within five minutes")


def content(bucket: Any, key: str) -> bytes:
    return bucket.Object(key).get()["Body"].read()


def saved_step(bucket: Any, key: str) -> int:
    return torch.load(io.BytesIO(content(bucket, key)), weights_only=True)["step"]


def undisturbed(config: Config, data: Path, cache_dir: Path, folder: Path) -> None:
    train(
        config,
        data_dir=data,
        manifest=build_manifest(data),
        output=folder / "checkpoint",
        work_dir=folder / "work",
        cache_dir=cache_dir,
        data_version="0",
        manifest_sha256="0",
    )


def test_a_training_whose_machine_dies_goes_on_on_another_one(
    bucket: Any, tmp_path: Path, phantom: Path, cache_dir: Path, recipe: Callable[..., Config]
) -> None:
    def machine(name: str, **settings: float) -> subprocess.Popen[str]:
        config = recipe({"train.steps": 12, **{f"train.{key}": value for key, value in settings.items()}})
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.yaml").write_text(yaml.safe_dump(dump_config(config)))
        return start(TRAINING, tmp_path / name, phantom, cache_dir, f"s3://{BUCKET}/training")

    first = machine("slow", save_minutes=0.01)
    wait_for(lambda: bool(list(bucket.objects.filter(Prefix="training/state.pt"))), first)
    first.send_signal(signal.SIGKILL)
    assert "restored False" in first.communicate()[0]
    assert 0 < saved_step(bucket, "training/state.pt") < 12
    second = machine("second")
    undisturbed(recipe({"train.steps": 12}), phantom, cache_dir, tmp_path / "whole")
    output, _ = second.communicate(timeout=600)
    assert second.returncode == 0, output
    assert "restored True" in output
    one, other = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "second"))
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    pd.testing.assert_frame_equal(one.history, other.history)
    assert list(bucket.objects.filter(Prefix="training/")) == []


def test_a_kill_during_an_upload_leaves_the_old_state(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Key="half/state.pt", Body=b"old")
    os.mkfifo(tmp_path / "state.pt")  # a file that can be cut off in its middle
    process = start(UPLOAD, f"s3://{BUCKET}/half", tmp_path)
    with (tmp_path / "state.pt").open("wb") as pipe:
        pipe.write(os.urandom(20 * 2**20))
        pipe.flush()
        wait_for(lambda: any(list(upload.parts.all()) for upload in bucket.multipart_uploads.all()), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert content(bucket, "half/state.pt") == b"old"


def test_the_last_of_many_saves_arrives_before_the_end(bucket: Any, tmp_path: Path) -> None:
    with StateStore(f"s3://{BUCKET}/many") as store:
        for number in range(20):
            (tmp_path / "next").write_bytes(f"state {number}".encode())
            (tmp_path / "next").replace(tmp_path / "state.pt")
            (tmp_path / "tracking.json").write_text("{}")
            store.save(tmp_path)
    assert content(bucket, "many/state.pt") == b"state 19"
    other = tmp_path / "other"
    with StateStore(f"s3://{BUCKET}/many") as store:
        store.restore(other)
        assert {path.name: path.read_bytes() for path in other.iterdir()} == {
            "state.pt": b"state 19",
            "tracking.json": b"{}",
        }
        store.forget()
    assert list(bucket.objects.filter(Prefix="many/")) == []


def test_a_store_that_fails_while_the_training_goes_on_costs_one_warning(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state.pt").write_bytes(b"state")
    with StateStore(f"s3://{BUCKET}/outage") as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        store.save(tmp_path)
        store.forget()
    (record,) = [record for record in caplog.records if record.name == "sss_ops.storage.training_state"]
    assert "the training goes on (Could not connect" in record.message


@pytest.mark.parametrize(
    ("uri", "environment", "sentence"),
    [
        ("s3://nowhere/a", {}, "s3://nowhere/a: .* NoSuchBucket; expected a bucket that exists"),
        ("s3://sss-work/a", {"AWS_SECRET_ACCESS_KEY": "x"}, "SignatureDoesNotMatch; expected AWS_ACCESS_KEY_ID and"),
        ("s3://sss-work/a", {"AWS_ACCESS_KEY_ID": "x"}, "InvalidAccessKeyId; expected AWS_ACCESS_KEY_ID and"),
        ("s3://sss-work/a", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect .*127.0.0.1:9.*; expected"),
        ("s3://sss-work/a", {"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense; expected"),
        ("s3://sss-work", {}, "expected s3://BUCKET/PREFIX"),
        ("https://sss-work/a", {}, "expected s3://BUCKET/PREFIX"),
    ],
)
def test_what_is_wrong_at_the_start_is_one_sentence(
    bucket: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    environment: dict[str, str],
    sentence: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=sentence) as caught:
        StateStore(uri).restore(tmp_path)
    assert "\n" not in str(caught.value)
