"""The whole pipeline, a container a task as Kubeflow's local runner starts them, with real servers beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import mlflow
import pytest
import yaml
from docker.models.images import Image
from support.dvc_project import ENVIRONMENT, call
from support.object_store import object_store
from support.paths import ROOT
from support.tracking_server import tracking_server

QUICK = ("image_size=64", "steps=4", "labelled_patients=1", "min_labelled_patients=1", "min_test_patients=1")

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An object store, and an MLflow server that keeps artifacts there; what clients have in their environment."""
    folder = tmp_path_factory.mktemp("services")
    with object_store(folder / "store", ["sss-data", "sss-mlflow", "sss-work"]) as (endpoint, keys):
        # As in the cluster, MLflow alone is told how its artifacts' store is reached.
        told = {**keys, "MLFLOW_S3_ENDPOINT_URL": endpoint}
        with tracking_server(folder, artifacts="s3://sss-mlflow/artifacts", environment=told) as port:
            yield {**keys, "MLFLOW_TRACKING_URI": f"http://localhost:{port}"}


@pytest.fixture(scope="module")
def version(services: dict[str, str], phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data version in the object store."""
    project = tmp_path_factory.mktemp("versioned")
    call(project, "dvc", "init", "--quiet", "--no-scm")
    call(project, "cp", "-r", str(phantom.parent), "data")
    call(project, "dvc", "add", "--quiet", "data")
    call(project, "dvc", "remote", "add", "--quiet", "--default", "s3", "s3://sss-data/dvc")
    call(project, "dvc", "remote", "modify", "--quiet", "s3", "endpointurl", services["AWS_ENDPOINT_URL"])
    call(project, "dvc", "push", "--quiet", **services)
    found: str = yaml.safe_load((project / "data.dvc").read_text())["outs"][0]["md5"]
    return found


@pytest.fixture(scope="module")
def ran(
    image: Image, services: dict[str, str], version: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a run, and its log."""
    folder = tmp_path_factory.mktemp("run")
    settings = [*QUICK, f"data_version={version}", "work=s3://sss-work/runs"]
    command = [sys.executable, "-m", "pipelines", "run", "--runner", "docker", "--image", image.tags[0], *settings]
    # Other programs' settings, DOCKER_HOST among them, stay.
    environment = {**ENVIRONMENT, **services, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-4000:]
    (made,) = (folder / "build/runs").glob("sss-training-*")
    return made, log


def test_five_steps_leave_their_artifacts(ran: tuple[Path, str], version: str) -> None:
    made, _ = ran
    for artifact in (
        "version-data/data/phantom/dataset.json",
        "validate-splits/report",
        "train/checkpoint/weights.pt",
        "evaluate/evaluation/report.html",
        "evaluate/confusion",
        "register/card",
        "report-end/summary",
    ):
        assert (made / artifact).stat().st_size > 0, artifact
    assert json.loads((made / "version-data/record").read_text())["version"] == version
    assert "dice" in json.loads((made / "evaluate/metrics").read_text())


def test_the_model_is_in_the_registry_and_its_files_in_the_object_store(
    ran: tuple[Path, str], services: dict[str, str], image: Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, _ = ran
    record = json.loads((made / "register/registration").read_text())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services["MLFLOW_TRACKING_URI"])
    mlflow.set_tracking_uri(services["MLFLOW_TRACKING_URI"])
    tags = mlflow.MlflowClient().get_model_version(record["model"], record["version"]).tags
    assert tags["image_digest"] == image.tags[0]
    files = mlflow.artifacts.download_artifacts(record["uri"], dst_path=str(tmp_path))
    assert (Path(files) / "artifacts/checkpoint/weights.pt").is_file()


def test_the_containers_were_not_root(ran: tuple[Path, str]) -> None:
    made, _ = ran
    owner = 10001 if os.getuid() == 0 else os.getuid()
    assert (made / "train/checkpoint/weights.pt").stat().st_uid == owner


def test_no_secret_is_in_what_was_said_or_made(ran: tuple[Path, str], services: dict[str, str]) -> None:
    made, log = ran
    secret = services["AWS_SECRET_ACCESS_KEY"]
    assert secret not in log
    assert not [path for path in made.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_no_container_is_left(ran: tuple[Path, str], engine: docker.DockerClient, image: Image) -> None:
    assert engine.containers.list(all=True, filters={"ancestor": image.id}) == []
