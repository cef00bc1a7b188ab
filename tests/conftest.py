"""What many tests start from: a small phantom cohort, a quick recipe, and a checkpoint trained on both."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.acceptance_summary import pytest_terminal_summary as pytest_terminal_summary
from support.paths import ROOT

from sss_model.config import Config, load_config
from sss_model.data.manifest import Manifest, build_manifest
from sss_model.data.phantom import write_phantom
from sss_model.training.train import train

pytest_plugins = ["support.pipeline_fixtures"]

PHANTOM_RECIPE = ROOT / "configs/phantom.yaml"
QUICK: dict[str, Any] = {
    "data.labelled": 1,
    "data.size": 64,
    "data.spacing_mm": 2.5,
    "model.decoder_channels": 8,
    "train.steps": 4,
    "train.batch": 2,
    "train.unlabelled_batch": 2,
    "train.precision": "32-true",
    "train.val_every": 2,
    "data_checks.min_labelled_patients": 1,
    "data_checks.min_test_patients": 1,
}


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell started the tests in the background: some tests wait for it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def forgotten_store() -> Iterator[None]:
    """MLflow remembers the store that a process opened last, and tells it to the environment: not from test to test."""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
        if address is not None:
            os.environ["MLFLOW_TRACKING_URI"] = address


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of six patients; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(folder, patients=6)
    return folder


@pytest.fixture(scope="session")
def manifest(phantom: Path) -> Manifest:
    return build_manifest(phantom)


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Config]:
    """Makes the quick recipe, with other values where a test wants them."""
    return lambda overrides=None: load_config(PHANTOM_RECIPE, {**QUICK, **(overrides or {})})


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def train_phantom(
    tmp_path_factory: pytest.TempPathFactory,
    phantom: Path,
    manifest: Manifest,
    recipe: Callable[..., Config],
    cache_dir: Path,
) -> Callable[..., Path]:
    """Trains the quick recipe on the phantom, with other values where a test wants them; returns the checkpoint."""

    def run(overrides: dict[str, Any] | None = None) -> Path:
        folder = tmp_path_factory.mktemp("trained")
        train(
            recipe(overrides),
            data_dir=phantom,
            manifest=manifest,
            output=folder / "checkpoint",
            work_dir=folder / "work",
            cache_dir=cache_dir,
            data_version="0" * 32,
            manifest_sha256="1" * 64,
        )
        return folder / "checkpoint"

    return run


@pytest.fixture(scope="session")
def checkpoint(train_phantom: Callable[..., Path]) -> Path:
    """A trained checkpoint's folder; not to be changed."""
    return train_phantom()
