"""The compiled pipeline, as Kubeflow's server reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compile import compile_pipeline

IMAGE = "registry.example.com/sss@sha256:" + "1" * 64


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The compiled files: the package and the GitOps manifests."""
    return compile_pipeline(tmp_path_factory.mktemp("compiled"), image=IMAGE)


@pytest.fixture(scope="session")
def specification(compiled: list[Path]) -> dict[str, Any]:
    """What the pipeline is."""
    return next(yaml.safe_load_all(compiled[0].read_text()))


@pytest.fixture(scope="session")
def tasks(specification: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its tasks by name, those of the exit handler's inside among them."""
    groups = [specification["root"], *specification["components"].values()]
    found = {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}
    return {name: task for name, task in found.items() if not name.startswith("exit-handler")}


@pytest.fixture(scope="session")
def on_kubernetes(compiled: list[Path]) -> dict[str, dict[str, Any]]:
    """What each executor asks of Kubernetes."""
    _, platform = yaml.safe_load_all(compiled[0].read_text())
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
