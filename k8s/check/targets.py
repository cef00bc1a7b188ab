"""The targets of the checks: every overlay and GPU pool as kubectl renders it, and the loose files beside them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

from k8s.check.objects import Object, Target
from sss_model.errors import InputError

# Ten times as fast where PyYAML was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

LOOSE = (
    "gpu-pools/eks/node-group.yaml",
    "gpu-pools/eks/karpenter.yaml",
    "priority/policy.yaml",
    "secrets/external-secrets.yaml",
)


def target_names(root: Path) -> list[str]:
    """Overlays first, then what is applied beside them: GPU pools and loose files."""
    folders = [*sorted((root / "overlays").iterdir()), *sorted((root / "gpu-pools").iterdir())]
    return [folder.relative_to(root).as_posix() for folder in folders if folder.name != "check"] + list(LOOSE)


def read_target(root: Path, name: str) -> Target:
    """One of `target_names`, or the path of another file of manifests.

    Raises:
        InputError: a folder can't be rendered, or a file is not a Kubernetes manifest.
    """
    secrets = read_template(root / "secrets" / "template.yaml")
    (image,) = yaml.safe_load((root / "image" / "kustomization.yaml").read_text())["images"]
    path = root / name
    objects = render_folder(path) if path.is_dir() else parse_manifests(path.read_text(), name)
    around = [] if name.startswith("overlays/") else _around(root)
    return Target(name, objects, around, secrets, image["newName"])


@cache
def _around(root: Path) -> list[Object]:
    return render_folder(root / "base")


def render_folder(folder: Path) -> list[Object]:
    done = subprocess.run([_kubectl(), "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{folder} can't be rendered: {done.stderr.strip()}")
    return parse_manifests(done.stdout, str(folder))


def parse_manifests(text: str, source: str) -> list[Object]:
    try:
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document]
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not YAML: {error}") from error
    if not documents:
        raise InputError(f"{source} is empty; expected Kubernetes manifests")
    for document in documents:
        if not isinstance(document, dict) or not {"apiVersion", "kind", "metadata"} <= document.keys():
            raise InputError(f"{source} holds a document without apiVersion, kind and metadata")
    return [Object(document) for document in documents]


def read_template(file: Path) -> dict[str, set[str]]:
    """Names of the secrets that users create, to their keys.

    Raises:
        InputError: one of them has a value.
    """
    secrets = {secret.name: secret.document["stringData"] for secret in parse_manifests(file.read_text(), str(file))}
    for name, data in secrets.items():
        for key, value in data.items():
            if value != "REPLACE":
                raise InputError(f"{file}: {key} of the secret {name} has a value; expected REPLACE")
    return {name: set(data) for name, data in secrets.items()}


@cache
def _kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        raise InputError("kubectl is missing beside this Python and on PATH; `make setup` installs it")
    return found
