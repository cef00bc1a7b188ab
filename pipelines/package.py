"""A compiled pipeline as a file: its name, its version, its tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sss_model.errors import InputError
from sss_model.files import write_atomically


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        name: what the UI lists it under.
        version: the name with the first digits of the file's SHA-256, so that equal files are one version.
        specification: the intermediate representation.
        tasks: Kubeflow's names of the tasks with the names that people read, in the order they were written.
    """

    path: Path
    name: str
    version: str
    specification: dict[str, Any]
    tasks: dict[str, str]


def read_package(path: Path) -> Package:
    """Read what ``python -m pipelines compile`` wrote.

    Raises:
        InputError: the file is missing or no compiled pipeline.
    """
    try:
        content = path.read_bytes()
        specification = next(yaml.safe_load_all(content))
        name = specification["pipelineInfo"]["name"]
        # Bookkeeping tasks, such as the one around an exit handler, have a DAG and no container of their own.
        components = specification["components"]
        tasks = {
            key: task["taskInfo"]["name"]
            for key, task in _tasks(specification)
            if "dag" not in components[task["componentRef"]["name"]]
        }
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a compiled pipeline, run `make pipeline`") from None
    except (yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise InputError(f"{path}: no compiled pipeline; expected what `make pipeline` writes") from None
    return Package(path, name, f"{name}-{hashlib.sha256(content).hexdigest()[:12]}", specification, tasks)


def write_without_cache(package: Package, into: Path) -> None:
    """Write a copy whose tasks all run again, also those inside an exit handler, which KFP's client forgets."""
    documents = list(yaml.safe_load_all(package.path.read_bytes()))
    for _, task in _tasks(documents[0]):
        task["cachingOptions"] = {}
    write_atomically(into, yaml.safe_dump_all(documents, sort_keys=False).encode())


def _tasks(specification: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (specification["root"], *specification["components"].values()):
        yield from part.get("dag", {}).get("tasks", {}).items()
