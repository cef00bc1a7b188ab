"""Weights in files: written whole or not at all; read from files that may come from anywhere, nothing in them run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from sss_model.errors import InputError
from sss_model.files import write_atomically


def read_weights(path: Path) -> Any:
    """What `torch.save` wrote, tensors on the CPU, as long as it is tensors and plain containers.

    Raises:
        InputError: the file is missing, cut short, not of that form, or holds anything that would have to be run.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except Exception:  # on bytes that are none of torch's, its restricted unpickler raises whatever it stumbles over
        raise InputError(f"{path}: damaged, or not a file that holds only weights; expected a checkpoint") from None


def write_weights(path: Path, content: Any) -> None:
    """Write tensors and plain containers; a full disk is an OSError and leaves `path` as it was."""
    # Through memory, because torch tells of a full disk in a RuntimeError of its own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())
