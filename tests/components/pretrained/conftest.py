"""A web server with a checkpoint that the table of published ones knows, in place of Meta's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, file_server

from components.pretrained import download, published
from components.pretrained.published import Published

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
