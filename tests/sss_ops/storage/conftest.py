"""A web server with a checkpoint that the table of published ones knows, in place of Meta's; and `sss train`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from support.file_server import FileServer, file_server

from sss_model.config import Config, dump_config
from sss_ops.cli import main
from sss_ops.storage import download, published
from sss_ops.storage.published import Published

Train = Callable[..., int]
CONTENT = np.random.default_rng(0).bytes(5 << 20)


@pytest.fixture(scope="session")
def known() -> Published:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Published("small", "2.1", "sam2.1_hiera_small.pt", "092824", len(CONTENT), digest)


@pytest.fixture
def web(known: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A mirror that has `known`, and a working directory without checkpoints."""
    others = [other for other in published.PUBLISHED if other.file != known.file]
    monkeypatch.setattr(published, "PUBLISHED", (*others, known))
    monkeypatch.setattr(download, "_WAIT_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    with file_server() as server:
        server.files[f"/{known.release}/{known.file}"] = CONTENT
        monkeypatch.setenv("SSS_CHECKPOINT_MIRROR", server.address)
        yield server


@pytest.fixture
def sss_train(
    store: mlflow.MlflowClient,
    phantom: Path,
    steps: Path,
    cache_dir: Path,
    recipe: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> Train:
    """Trains the quick recipe with other settings by `sss train`, in a new working directory; returns the exit code."""

    def train(settings: dict[str, object], output: str = "checkpoint") -> int:
        Path("params.yaml").write_text(yaml.safe_dump(dump_config(recipe(settings))))
        arguments = ["--data-dir", phantom, "--cache", cache_dir, "--output", output]
        arguments += ["--manifest", steps / "manifest.csv", "--data-version", steps / "data_version.json"]
        monkeypatch.setattr("sys.argv", ["sss", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return train
