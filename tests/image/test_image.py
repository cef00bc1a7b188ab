"""The image as it is built: it runs with no rights on a read-only root, and holds no tools, leftovers or secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from docker.models.images import Image
from support.image_layers import Layers

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
