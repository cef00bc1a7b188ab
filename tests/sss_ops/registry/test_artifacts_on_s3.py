"""Artifacts behind a tracking server and in an object store: the whole way, and what breaks on it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import boto3
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.store.artifact import s3_artifact_repo
from support.file_server import breaking_proxy
from support.object_store import object_store
from support.registered_models import FILES, MODEL, Sss, command_line, register_it
from support.tracking_server import tracking_server

from sss_model.errors import InputError
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume, volume_from_bytes
from sss_ops.registry.evidence import EVIDENCE_TAG, audit_version, evidence_place
from sss_ops.registry.release import write_release
from sss_ops.registry.versions import version_at
from sss_ops.tracking.store import tracking_client


def test_a_version_is_audited_and_released_from_the_server_alone(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "artifacts"
    with tracking_server(tmp_path, artifacts=str(stored)) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{port}")
        steps = Path(shutil.copytree(evaluated, tmp_path / "steps"))
        register_it(steps, tmp_path)
        shutil.rmtree(steps)
        client = tracking_client()
        version = version_at(client, f"models:/{MODEL}@challenger")
        assert version_at(client, str(version.run_id)).version == version.version
        assert audit_version(client, version).findings == []
        write_release(client, version, tmp_path / "out")
        assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
        assert json.loads((tmp_path / "out/approval.json").read_text())["status"] == "not approved"

        (kept,) = stored.rglob(evidence_place(version.tags[EVIDENCE_TAG]))
        mask = next((kept / "predictions").iterdir())
        mask.write_bytes(mask.read_bytes() + b"\n")
        (finding,) = audit_version(client, version).findings
        assert finding.startswith(f"predictions/{mask.name}: changed, SHA-256 ")
        with pytest.raises(InputError, match=f"is not released: predictions/{mask.name}: changed"):
            write_release(client, version, tmp_path / "another")
        shutil.rmtree(kept)
        with pytest.raises(InputError, match=r"evidence/[0-9a-f]{16}; expected what `sss register` kept there"):
            audit_version(client, version)
        assert not list(tmp_path.glob("*another*"))
    assert mlflow.get_tracking_uri().startswith("http")


class Place(NamedTuple):
    """A tracking server's port, and what its object store wants to be told."""

    port: int
    keys: dict[str, str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("objects"), ["sss-mlflow"]) as (_, keys):
        yield keys


@pytest.fixture(scope="module", params=["through the server", pytest.param("straight", marks=pytest.mark.acceptance)])
def place(
    request: pytest.FixtureRequest, store: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("server")
    straight = request.param == "straight"
    arguments = ["--no-serve-artifacts", "--default-artifact-root", "s3://sss-mlflow/straight"] if straight else []
    with tracking_server(folder, artifacts="s3://sss-mlflow/through", environment=store, arguments=arguments) as port:
        yield Place(port, store if straight else {})


@pytest.fixture
def sss(
    place: Place,
    registrable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Sss:
    monkeypatch.chdir(shutil.copytree(registrable, tmp_path / "here", symlinks=True))
    # Whoever goes through the server needs no keys.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in place.keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{place.port}")
    return command_line(monkeypatch, capfd)


def aliases(address: str) -> dict[str, str]:
    return dict(mlflow.MlflowClient(address).get_registered_model(MODEL).aliases)


def test_a_model_goes_all_the_way_and_back(sss: Sss, place: Place, store: dict[str, str], checkpoint: Path) -> None:
    register_two(sss, place)
    for arguments in (
        *(["promote", MODEL, "--version", "1"], ["promote", MODEL, "--version", "2"]),
        *(["rollback", MODEL], ["registry", MODEL]),
    ):
        code, said, complaint = sss(*arguments)
        assert code == 0, complaint
    assert "rolled back to 1" in said
    address = f"http://localhost:{place.port}"
    assert aliases(address) == {"champion": "1", "previous": "2"}
    scan = next(Path("data/phantom/imagesTs").iterdir())
    answer = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion").predict(pd.DataFrame({"nifti": [scan.read_bytes()]}))
    mask = volume_from_bytes(answer["mask"][0], "mask")
    assert np.array_equal(mask.array, Predictor.load(checkpoint)(read_volume(scan)).array)
    client = boto3.Session(store["AWS_ACCESS_KEY_ID"], store["AWS_SECRET_ACCESS_KEY"]).client(
        "s3", endpoint_url=store["AWS_ENDPOINT_URL"], region_name=store["AWS_DEFAULT_REGION"]
    )
    prefix = "straight" if place.keys else "through"
    kept = [entry["Key"] for entry in client.list_objects_v2(Bucket="sss-mlflow", Prefix=f"{prefix}/")["Contents"]]
    assert sum(key.endswith("weights.pt") for key in kept) == 2


def register_two(sss: Sss, place: Place) -> None:
    """Have two versions there, whatever tests ran before."""
    client = mlflow.MlflowClient(f"http://localhost:{place.port}")
    for _ in range(len(client.search_model_versions(f"name='{MODEL}'")), 2):
        code, _, complaint = sss("register")
        assert code == 0, complaint


def refuse_moved(sss: Sss, address: str, why: str, *, left: Path) -> None:
    """Fail unless a promotion says in one sentence why it can't be, and leaves everything as it was."""
    before = aliases(f"http://localhost:{address.rpartition(':')[2]}")
    code, _, complaint = sss("promote", MODEL, "--version", "2")
    assert code == 2
    # Before it, MLflow's log tells of its retries.
    *_, sentence = complaint.splitlines()
    assert sentence.startswith(f"error: {MODEL} version 2: its checkpoint can't be fetched (")
    assert re.search(why, sentence), sentence
    assert not list(left.glob("sss-*"))
    assert aliases(f"http://localhost:{address.rpartition(':')[2]}") == before


@pytest.mark.acceptance
def test_a_disk_that_is_nearly_full_moves_nothing(
    sss: Sss, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(sss, place)
    with ExitStack() as stack:
        (small := tmp_path / "small").mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "small", small], capture_output=True).returncode:
            pytest.skip("a small file system can only be mounted by root")
        stack.callback(subprocess.run, ["umount", "--lazy", str(small)], check=True)
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        # Of a large file that comes through the server in pieces, MLflow tells no reason.
        refuse_moved(sss, f":{place.port}", "No space left on device|Failed to download", left=small)


def test_a_download_that_breaks_off_moves_nothing(
    sss: Sss, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.keys:
        pytest.skip("straight from the object store nothing comes through a server")
    register_two(sss, place)
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = aliases(f"http://localhost:{place.port}")
    with breaking_proxy(place.port, broken="weights.pt") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        code, _, complaint = sss("promote", MODEL, "--version", "2")
    assert code == 2
    # Before it, MLflow's log tells of its retries.
    *_, sentence = complaint.splitlines()
    assert sentence.startswith(f"error: {MODEL} version 2: its checkpoint can't be fetched (")
    assert not list(temporary.glob("sss-*"))
    assert aliases(f"http://localhost:{place.port}") == before


def test_an_object_store_that_refuses_the_keys_is_one_sentence(
    sss: Sss, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not place.keys:
        pytest.skip("through the server nobody needs keys")
    register_two(sss, place)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    # MLflow and boto3 remember the connection of the tests before.
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for arguments in (["register"], ["promote", MODEL, "--version", "2"]):
        code, said, complaint = sss(*arguments)
        assert code == 2
        assert complaint.startswith("error: ")
        assert complaint.count("\n") == 1
        assert "planted" not in said + complaint
