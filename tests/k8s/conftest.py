"""The manifests of an overlay, as kubectl renders them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.paths import ROOT

from k8s.check.objects import Target
from k8s.check.targets import read_target


@pytest.fixture(scope="session")
def local() -> Target:
    return read_target(ROOT / "k8s", "overlays/local")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(ROOT / "k8s", tmp_path / "k8s", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
