"""The checkpoint that a person names: a folder, or a version of a registered model."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint


SCHEME = "models:/"


@contextmanager
def opened(named: str) -> Iterator[Checkpoint]:
    """Read a checkpoint, named as for `folder_of`; raises `InputError` where this code can't read it, too."""
    from sss_model.checkpoint import load_checkpoint

    with folder_of(named) as folder:
        try:
            checkpoint = load_checkpoint(folder)
        except InputError as error:
            # A temporary name says nothing to anybody.
            raise InputError(str(error).replace(str(folder), named)) from None
    yield checkpoint


@contextmanager
def folder_of(named: str) -> Iterator[Path]:
    """A checkpoint's folder, fetched for the length of a ``with`` block where MLflow has it.

    Args:
        named: the folder itself, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        InputError: MLflow has no such version, or can't give it.
    """
    if not named.startswith(SCHEME):
        yield Path(named)
        return
    from sss_ops.registry.versions import fetch_checkpoint, version_at
    from sss_ops.tracking.runs import connect

    version = version_at(connect(), named)
    with tempfile.TemporaryDirectory(prefix="sss-") as temporary:
        yield fetch_checkpoint(version.name, str(version.version), Path(temporary, "model"))


def identity_of(checkpoint: Checkpoint) -> str:
    """Twelve characters that stand for the weights and the way they are used: other ones, other masks."""
    import torch

    digest = hashlib.sha256(checkpoint.config.predict.model_dump_json().encode())
    digest.update(checkpoint.config.data.model_dump_json().encode())
    for name, tensor in sorted(checkpoint.weights.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
