"""From what a recipe or a person calls a checkpoint to a file on this machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.pretrained import published
from sss_ops.pretrained.download import StoredObject, WebFile, download
from sss_ops.pretrained.published import HOME, Published
from sss_ops.storage.s3 import SCHEME

if TYPE_CHECKING:
    from sss_model.config import Model


FOLDER = Path("checkpoints")
"""Where checkpoints are kept unless told otherwise."""
MIRROR = "SSS_CHECKPOINT_MIRROR"
"""The environment's name for an address to use in place of Meta's; its folders and files are called as theirs."""


def pretrained_file(model: Model, folder: Path = FOLDER) -> Path | None:
    """The file that ``model.checkpoint`` means, fetched into `folder` if it is elsewhere; None where it names none.

    A file that is called as one of Meta's must be that one, and must belong to the recipe's encoder and version. Of any
    other file nothing is known until its weights are read.

    Raises:
        InputError: it can't be had, is not what its name says, or doesn't belong to the recipe's encoder.
    """
    refuse_misfit(model)
    named = model.checkpoint
    if named is None:
        return None
    if not Path(named).is_file():
        return fetch(named, version=model.version, folder=folder)
    _check(Path(named), named)
    return Path(named)


def refuse_misfit(model: Model) -> None:
    """Refuse a recipe whose checkpoint is, by its name alone, of another encoder or version.

    Raises:
        InputError: with both.
    """
    known = _known(model.checkpoint, model.version) if model.checkpoint else None
    if known and (known.encoder, known.version) != (model.encoder, model.version):
        raise InputError(
            f"model.checkpoint: {model.checkpoint} is for the encoder {known.encoder} of version {known.version}, "
            f"the recipe has {model.encoder} of {model.version}; expected both alike"
        )


def fetch(named: str, *, version: str, folder: Path = FOLDER, mirror: str | None = None) -> Path:
    """Bring a checkpoint into a folder, unless it is there.

    Args:
        named: ``s3://BUCKET/KEY``, or a name that `sss_ops.pretrained.published` knows.
        version: of SAM-2, where the name is a size.
        mirror: address to use in place of Meta's; if not given, the one in the environment's `MIRROR`.

    Raises:
        InputError: nothing is known by that name, it can't be had, or what is there is not what it should be.
    """
    if named.startswith(SCHEME):
        return _fetch_object(named, folder)
    known = published.find(named, version)
    if known is None:
        raise InputError(f"{named}: no such checkpoint; expected a file, s3://BUCKET/KEY, {published.names()}")
    home = (mirror or os.environ.get(MIRROR) or HOME).rstrip("/")
    target = folder / known.file
    download(WebFile(f"{home}/{known.release}/{known.file}", known.size), target, check=_check)
    return target


def _fetch_object(uri: str, folder: Path) -> Path:
    source = StoredObject(uri)
    # New bytes under an old address are another file.
    content = hashlib.sha256(f"{uri}\n{source.etag}".encode()).hexdigest()[:16]
    target = folder / "s3" / content / PurePosixPath(uri).name
    download(source, target, check=_check)
    return target


def _check(path: Path, where: str) -> None:
    known = published.find(path.name.removesuffix(".part"), version="")
    if known:
        published.refuse_other(path, known, where=where)


def _known(named: str, version: str) -> Published | None:
    return published.find(named, version) or published.find(PurePosixPath(named).name, version="")
