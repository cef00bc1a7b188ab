"""Tests of what only a GPU does.

They run wherever CUDA is found. SSS_GPU_TESTS_ON_CPU=1 runs them on a CPU, which shows that the tests themselves are
right; what only CUDA can tell is then left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.training.train import train

ON_CPU = bool(os.environ.get("SSS_GPU_TESTS_ON_CPU"))
REASON = "no CUDA device; SSS_GPU_TESTS_ON_CPU=1 runs this on the CPU"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or ON_CPU:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=REASON))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A skipped GPU is worth a line also without ``-rs``."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if REASON in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"tests/gpu: {len(skipped)} tests skipped: {REASON}")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session")
def fit(
    tmp_path_factory: pytest.TempPathFactory,
    recipe: Callable[..., Config],
    phantom: Path,
    manifest: Manifest,
    cache_dir: Path,
) -> Callable[..., Path]:
    """Trains the quick recipe with other values; returns the checkpoint's folder."""

    def run(overrides: dict[str, Any], *, folder: Path | None = None, **hooks: Any) -> Path:
        folder = folder or tmp_path_factory.mktemp("gpu")
        train(
            recipe(overrides),
            data_dir=phantom,
            manifest=manifest,
            output=folder / "checkpoint",
            work_dir=folder / "work",
            cache_dir=cache_dir,
            data_version="0",
            manifest_sha256="0",
            **hooks,
        )
        return folder / "checkpoint"

    return run
