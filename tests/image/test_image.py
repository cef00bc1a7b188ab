"""The image as it is built, and the pipeline with a container a task and real servers beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import mlflow
import pytest
import yaml
from docker.models.images import Image
from support.containers import Layers
from support.dvc_project import ENVIRONMENT, call
from support.object_store import object_store
from support.paths import ROOT
from support.tracking_server import tracking_server

pytestmark = pytest.mark.image


Run = Callable[..., str]

VERSION_DATA = """
set -e
sss import phantom /tmp/x/data/phantom >&2
cd /tmp/x
dvc init --quiet --no-scm
dvc add --quiet --no-commit data
sss version-data --data-dir data/phantom
cat data_version.json
"""


def test_it_runs_as_its_own_user(run: Run) -> None:
    assert run("id") == "uid=10001(sss) gid=10001(sss) groups=10001(sss)\n"


def test_sss_shows_its_help(run: Run) -> None:
    assert "version-data" in run("sss", "--help")


@pytest.mark.parametrize("module", ["sss_model", "components"])
def test_our_packages_come_from_opt_sss(run: Run, module: str) -> None:
    assert run("python", "-c", f"import {module}; print({module}.__file__)") == f"/opt/sss/{module}/__init__.py\n"


@pytest.mark.parametrize(("script", "flag"), [("train_2d.py", "-out_size"), ("train_3d.py", "-video_length")])
def test_medical_sam2s_command_lines_are_there(run: Run, script: str, flag: str) -> None:
    assert flag in run("python", script, "-h")


def test_everything_is_installed_and_torch_is_a_cpu_build(run: Run) -> None:
    said = run(
        "python", "-c", "import torch, sam2, kfp, mlflow, psycopg2; print(torch.__version__, torch.version.cuda)"
    )
    assert re.fullmatch(r"\S+\+cpu None\n", said.splitlines(keepends=True)[-1])


@pytest.mark.parametrize("user", [None, "4321:4321"], ids=["its own user", "any user"])
def test_data_is_made_and_versioned_on_a_read_only_root(run: Run, user: str | None) -> None:
    facts = json.loads(run("bash", "-c", VERSION_DATA, user=user))
    assert facts["name"] == "phantom"
    assert re.fullmatch(r"[0-9a-f]{32}\.dir", facts["version"])


def test_the_mlflow_server_answers(run: Run) -> None:
    server = "mlflow server --backend-store-uri sqlite:////tmp/mlflow.db --artifacts-destination /tmp/artifacts"
    ask = """
import time, urllib.error, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:5000/health").read().decode())
        break
    except urllib.error.URLError:
        time.sleep(0.2)
"""
    started = f"{server} --workers 1 --host 127.0.0.1 --port 5000 >/tmp/log 2>&1 & exec python -c '{ask}'"
    assert run("bash", "-c", started) == "OK\n"


def test_there_are_no_build_tools_and_no_git(run: Run) -> None:
    tools = "gcc cc make pip pip3 git curl"
    assert run("bash", "-c", f"for tool in {tools}; do type -P $tool; done; true") == ""
    assert run("python", "-c", "import importlib.util as u; print(*map(u.find_spec, ('pip', 'setuptools')))") == (
        "None None\n"
    )


def test_no_file_gives_its_owners_rights_and_code_is_for_reading_only(run: Run) -> None:
    unsafe = "find / -xdev -type f -perm /6000; find /opt ! -user root; find /opt ! -type l -perm /022"
    assert run("bash", "-c", f"({unsafe}) 2>/dev/null; true") == ""


def test_licences_are_in_it(run: Run) -> None:
    assert "Apache License" in run("head", "-n", "3", "/opt/sss/LICENSE")
    licensed = "ls -d /opt/venv/lib/python3*/site-packages/*.dist-info/licenses | wc -l"
    assert int(run("bash", "-c", licensed)) > 100


def test_labels_say_what_it_is(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.labels.items()}
    assert labels["title"] == "sss"
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
    assert {"description", "revision"} <= set(labels)
    assert f"SSS_GIT_REVISION={labels['revision']}" in image.attrs["Config"]["Env"]


def test_no_planted_secret_is_in_any_layer(layers: Layers) -> None:
    assert "opt/sss/sss_ops/cli.py" in layers.paths
    assert layers.holding_the_secret == []


@pytest.mark.parametrize(
    "leftover", [r"\.cache/", r"\.env$", r"\.whl$", r"site-packages/pip/", r"opt/sss/(tests|data)/"]
)
def test_no_layer_holds_leftovers_of_the_build(layers: Layers, leftover: str) -> None:
    ours = {path for path in layers.paths if path.startswith(("opt/", "root/", "tmp/"))}
    assert [path for path in ours if re.search(leftover, path)] == []


QUICK = ("image_size=64", "steps=4", "labelled_patients=1", "min_labelled_patients=1", "min_test_patients=1")


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
