"""The checkpoint that a command names: a folder, or a version of a registered model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.registry.versions import fetch_checkpoint, version_at
from sss_ops.tracking.store import tracking_client

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint

SCHEME = "models:/"
NAMES = "checkpoint folder, from train, or a registered model: models:/NAME@ALIAS or models:/NAME/VERSION"
"""The forms that `checkpoint_folder` takes, for help texts."""


@contextmanager
def open_checkpoint(named: str) -> Iterator[Checkpoint]:
    """Read a checkpoint, named as for `checkpoint_folder`; raises `InputError` also where it can't be read."""
    from sss_model.checkpoint import load_checkpoint

    with checkpoint_folder(named) as folder:
        try:
            checkpoint = load_checkpoint(folder)
        except InputError as error:
            raise InputError(str(error).replace(str(folder), named)) from None  # instead of a temporary path
    yield checkpoint


@contextmanager
def checkpoint_folder(named: str) -> Iterator[Path]:
    """The folder of a checkpoint, downloaded for the length of a ``with`` block where MLflow has it.

    Args:
        named: the folder itself, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        InputError: MLflow has no such version, or can't give it.
    """
    if not named.startswith(SCHEME):
        yield Path(named)
        return

    version = version_at(tracking_client(), named)
    with tempfile.TemporaryDirectory(prefix="sss-") as temporary:
        yield fetch_checkpoint(version.name, str(version.version), Path(temporary, "model"))
