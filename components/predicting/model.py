"""The checkpoint that a person names: a folder, or a version of a registered model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint

SCHEME = "models:/"
_ADDRESS = re.compile(r"models:/+([^/@]+)(?:/(\d+)|@([^/@]+))")


@contextmanager
def opened(named: str) -> Iterator[Checkpoint]:
    """Read a checkpoint.

    Args:
        named: its folder, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``, which MLflow has.

    Raises:
        InputError: there is none, MLflow can't give it, or this code can't read it.
    """
    from sss_model.checkpoint import load_checkpoint

    if not named.startswith(SCHEME):
        yield load_checkpoint(Path(named))
        return
    from components.registry.scoring import fetched

    name, version = version_of(named)
    with fetched(name, [version]) as checkpoints:
        yield checkpoints[version]


def version_of(address: str) -> tuple[str, str]:
    """The model and the version that an address means; an alias is looked up in MLflow.

    Raises:
        InputError: not such an address, or MLflow has no such model, version or alias.
    """
    from components.registry.state import read_state
    from components.registry.versions import find_version
    from components.tracking import connect

    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise InputError(f"{address}: not a model's address; expected models:/NAME/VERSION or models:/NAME@ALIAS")
    name, number, alias = parts.groups()
    client = connect()
    aliases = read_state(client, name).aliases
    version = number or aliases.get(alias)
    if version is None:
        known = ", ".join(sorted(aliases)) or "none"
        raise InputError(f"{address}: {name} has no alias {alias}; expected one of its aliases ({known})")
    if find_version(client, name, version) is None:
        raise InputError(f"{address}: no such version; expected one that `sss registry {name}` lists")
    return name, version


def identity_of(checkpoint: Checkpoint) -> str:
    """Twelve characters that stand for the weights and the way they are used: other ones, other masks."""
    import torch

    digest = hashlib.sha256(checkpoint.config.predict.model_dump_json().encode())
    digest.update(checkpoint.config.data.model_dump_json().encode())
    for name, tensor in sorted(checkpoint.weights.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
