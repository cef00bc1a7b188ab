"""Containers without an engine: an image's layers, and a command line run as Kubernetes' node agent would."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from docker.models.images import Image

from k8s.check.objects import Target, pods


class Layers(NamedTuple):
    """Paths in all layers, and the names of those files, in layers or about them, that hold the secret."""

    paths: set[str]
    holding_the_secret: list[str]


def look_through(image: Image, secret: bytes) -> Layers:
    found = Layers(set(), [])
    with tempfile.TemporaryFile() as saved:
        for chunk in image.save():
            saved.write(chunk)
        saved.seek(0)
        with tarfile.open(fileobj=saved) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content:
                    _look_into(member.name, content, secret, found)
    return found


def _look_into(name: str, content: IO[bytes], secret: bytes, found: Layers) -> None:
    """A layer is an archive of its own; all else in a saved image is JSON."""
    try:
        layer = tarfile.open(fileobj=content)  # noqa: SIM115
    except tarfile.ReadError:
        content.seek(0)
        if secret in content.read():
            found.holding_the_secret.append(name)
        return
    for member in layer:
        found.paths.add(member.name)
        file = layer.extractfile(member) if member.isreg() else None
        if file and secret in file.read():
            found.holding_the_secret.append(member.name)


def container_of(target: Target, owner: str, name: str) -> dict[str, Any]:
    """A container of the pod of an object, such as ``Deployment/sss-mlflow``."""
    (found,) = [
        container
        for pod in pods(target)
        if str(pod.owner) == owner
        for container in pod.containers()
        if container["name"] == name
    ]
    return found


def environment_of(target: Target, container: dict[str, Any], secrets: dict[str, str]) -> dict[str, str]:
    """The variables that the manifest gives: literals, config maps, and the keys of `secrets` that it names."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= target.known("ConfigMap")[source["configMapRef"]["name"]].document["data"]
        else:
            found |= {key: secrets[key] for key in target.secrets[source["secretRef"]["name"]]}
    for variable in container.get("env", []):
        origin = variable.get("valueFrom", {})
        if "secretKeyRef" in origin:
            found[variable["name"]] = secrets[origin["secretKeyRef"]["key"]]
        else:
            found[variable["name"]] = variable.get("value", "kubeflow")
    return found


def command_line(container: dict[str, Any], environment: dict[str, str], replaced: dict[str, str]) -> list[str]:
    """Command and arguments with ``$(NAME)`` expanded; an option of `replaced` takes the value given there."""
    words = [
        re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], word)
        for word in [*container["command"], *container.get("args", [])]
    ]
    options = {word.partition("=")[0] for word in words}
    assert replaced.keys() <= options, f"{replaced.keys() - options} are not in the manifest"
    words = [f"{key}={replaced[key]}" if (key := word.partition("=")[0]) in replaced else word for word in words]
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


@contextmanager
def running(
    command: list[str], environment: dict[str, str], folder: Path, ready: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server in `folder` and wait until it is ready; at the end it and its children are killed."""
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=os.environ | environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 300
            while not ready():
                assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                time.sleep(0.1)
            yield server
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=30)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
