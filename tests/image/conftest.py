"""The image, built from a checkout that holds secrets, and containers of it as a cluster would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image
from support.containers import Layers, look_through
from support.paths import ROOT

TAG = "test"
SECRET = "planted-secret-0f1e2d3c4b5a"
PARTS = (
    *("sss_model", "sss_ops", "components", "configs", "train_2d.py", "train_3d.py", "params.yaml"),
    *("LICENSE", "CITATION.cff", ".dockerignore"),
)
PLANTED = (".env", "components/.env", "configs/s3.key", "data/x.nii", "mlflow.db", ".git/config", "wheels/pip.conf")


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    try:
        return docker.from_env(timeout=300)
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """What `make image` builds from this tree; secrets lie in the tree and in the environment."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in (*PARTS, "Dockerfile", "pyproject.toml", ".ci", "wheels", "requirements.txt", "requirements"):
        _copy(ROOT / name, checkout / name)
    for name in PLANTED:
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(SECRET)
    planted = {"AWS_SECRET_ACCESS_KEY": SECRET, "MLFLOW_TRACKING_PASSWORD": SECRET}
    environment = {**os.environ, **planted, "TAG": TAG, "PYTHON": sys.executable}
    subprocess.run([checkout / ".ci/image", "build"], env=environment, check=True)
    yield engine.images.get(f"sss:{TAG}")
    engine.images.remove(f"sss:{TAG}")


@pytest.fixture
def run(engine: docker.DockerClient, image: Image) -> Callable[..., str]:
    """Run a command in a container with no rights, no network and a read-only root; its output."""

    def output(*command: str, user: str | None = None) -> str:
        said: bytes = engine.containers.run(
            image,
            list(command),
            user=user,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "mode=1777"},
            network_mode="none",
            remove=True,
        )
        return said.decode()

    return output


@pytest.fixture(scope="session")
def layers(image: Image) -> Layers:
    return look_through(image, SECRET.encode())


def _copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copyfile(source, destination)
