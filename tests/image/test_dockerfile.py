"""The image as it is written down: what a reader, hadolint and the build's context say without an engine."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths
from support.paths import ROOT

LOCKS = {"requirements.txt", *(f"requirements/{path.name}" for path in ROOT.glob("requirements/*.txt"))}
LOCKS -= {"requirements/dev.txt"}
TEXT = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^(?=FROM )", TEXT, flags=re.MULTILINE)[1:]
CODE = ("sss_model", "sss_ops", "components", "configs", "train_2d.py", "train_3d.py")
UNWANTED = (
    ".env",
    ".git/config",
    ".dvc/config.local",
    "components/.env",
    "configs/.aws/credentials",
    "data/phantom/x.nii",
    "components/x.nii.gz",
    "sss_model/weights.pt",
    "mlflow.db",
    "components/id_rsa.key",
    "components/__pycache__/x.pyc",
    "checkpoint/weights.pt",
    "k8s/secrets/s3.yaml",
    "tests/test_x.py",
    "requirements/dev.txt",
    "wheels/pip.conf",
)


def context(root: Path) -> set[str]:
    """The files that Docker would send to a build, by its own client library's reading of .dockerignore."""
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {path for path in exclude_paths(str(root), patterns) if (root / path).is_file()}
    # Docker reads these two, but COPY can't.
    return sent - {"Dockerfile", ".dockerignore"}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_dependencies_come_before_code_and_only_their_result_reaches_the_image() -> None:
    heads = [stage.splitlines()[0] for stage in STAGES]
    assert heads == [
        "FROM scratch AS locks",
        "FROM ${BASE_IMAGE} AS dependencies",
        "FROM ${BASE_IMAGE} AS code",
        "FROM ${BASE_IMAGE}",
    ]
    copied = re.findall(r"^COPY (.*)", STAGES[-1], flags=re.MULTILINE)
    assert copied == ["--from=dependencies /opt/venv /opt/venv", "--from=code /opt/sss /opt/sss"]
    assert "COPY" not in STAGES[1]


def test_the_locks_are_installed_in_the_order_of_make_setup() -> None:
    setup = (ROOT / "Makefile").read_text().split(".venv/.ready:")[1].split("\n\n")[0]
    installed = re.findall(r"-r /locks/(\S+)", TEXT)
    assert set(installed) == LOCKS
    # With CUDA's build of torch, its libraries come right after it.
    torch = [name for name in installed if name != "requirements/cuda.txt"]
    assert torch == sorted(torch, key=lambda name: setup.index(f"-r {name}"))


def test_the_image_runs_as_a_user_who_is_not_root() -> None:
    assert re.findall(r"^USER (.*)", STAGES[-1], flags=re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("refused", [r"^ADD ", r"^# syntax", "<<", "--link", "://", r"apt(-get)? ", r"^ENTRYPOINT"])
def test_nothing_is_fetched_by_address_nor_asks_for_a_newer_engine(refused: str) -> None:
    assert not re.search(refused, TEXT, flags=re.MULTILINE)


def test_no_argument_and_no_variable_is_for_a_secret() -> None:
    named = re.findall(r"^ARG (\w+)|^(?:ENV)? +(\w+)=", TEXT, flags=re.MULTILINE)
    names = {one or other for one, other in named}
    assert {"BASE_IMAGE", "TORCH", "HOME"} <= names
    assert not [name for name in names if re.search("TOKEN|PASSWORD|SECRET|KEY|CREDENTIAL", name)]


def test_sss_is_the_console_script_of_the_project() -> None:
    module, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["sss"].split(":")
    assert rf"from {module} import {function}\n\n{function}()\n" in TEXT


def test_the_context_holds_all_code_and_locks() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *CODE]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split()
    code = {path for path in listed if (ROOT / path).is_file()}
    found = {path for path in context(ROOT) if not path.startswith("wheels/")}
    assert found == code | LOCKS | {"params.yaml", "LICENSE", "CITATION.cff"}


def test_what_the_context_holds_is_copied_into_the_image() -> None:
    copied = {word for line in re.findall(r"^COPY (.*)", STAGES[2], flags=re.MULTILINE) for word in line.split()[:-1]}
    assert copied == {*CODE, "params.yaml", "LICENSE", "CITATION.cff"}


def test_the_context_holds_nothing_else(tmp_path: Path) -> None:
    wanted = ["params.yaml", "requirements.txt", "sss_ops/cli.py", "sss_ops/cluster/pools.yaml", "wheels/torch.whl"]
    wanted += ["sss_model/templates/report.html", "train_2d.py", "train_3d.py"]
    for name in [*wanted, *UNWANTED]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("planted")
    assert context(tmp_path) == set(wanted)


def test_without_an_engine_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    done = engineless(tmp_path, ".ci/image", "build")
    assert done.returncode == 2
    assert re.fullmatch(r"error: no Docker engine answers; expected .*\n", done.stderr)


def test_without_an_engine_what_needs_one_is_left_out_aloud(tmp_path: Path) -> None:
    done = engineless(tmp_path, ".ci/with-docker", "false")
    assert (done.returncode, done.stdout) == (0, "left out, for no Docker engine answers: false\n")


def engineless(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run where docker builds, but finds no engine."""
    client = tmp_path / "docker"
    client.write_text('#!/bin/sh\n[ "$1" = build ]\n')
    client.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOCAL_DOCKER": str(tmp_path / "none")}
    bash = shutil.which("bash")
    assert bash
    return subprocess.run([bash, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


DIGEST = "sha256:" + "0123456789abcdef" * 4


def pin(folder: Path, reference: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder that holds a copy of k8s/image."""
    (folder / "k8s/image").mkdir(parents=True)
    (folder / "k8s/image/kustomization.yaml").write_bytes((ROOT / "k8s/image/kustomization.yaml").read_bytes())
    command = [sys.executable, str(ROOT / ".ci/image_pin.py")]
    return subprocess.run(command, cwd=folder, input=reference, capture_output=True, text=True)


def test_name_and_digest_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    before = (ROOT / "k8s/image/kustomization.yaml").read_text().splitlines()
    assert pin(tmp_path, f"registry.test:5000/team/sss@{DIGEST}\n").returncode == 0
    after = (tmp_path / "k8s/image/kustomization.yaml").read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.strip() for line in changed] == ["newName: registry.test:5000/team/sss", f"digest: {DIGEST}"]


def test_kustomize_puts_it_into_a_manifest(tmp_path: Path) -> None:
    pin(tmp_path, f"registry.test/team/sss@{DIGEST}")
    (tmp_path / "pod.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: sss}]}}"
    )
    (tmp_path / "kustomization.yaml").write_text("resources: [pod.yaml]\ncomponents: [k8s/image]\n")
    kubectl = Path(sys.executable).with_name("kubectl")
    shown = subprocess.check_output([kubectl, "kustomize", tmp_path], text=True)
    assert f"image: registry.test/team/sss@{DIGEST}" in shown


def test_what_names_no_digest_is_refused_and_nothing_written(tmp_path: Path) -> None:
    done = pin(tmp_path, "registry.test/team/sss:latest")
    assert done.returncode
    assert "expected REGISTRY/NAME@sha256" in done.stderr
    text = (tmp_path / "k8s/image/kustomization.yaml").read_text()
    assert text == (ROOT / "k8s/image/kustomization.yaml").read_text()
