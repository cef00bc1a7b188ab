"""Pretrained weights: from the name in a recipe or on a command line to a checked file on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.storage import published
from sss_ops.storage.download import Source, WebFile, download
from sss_ops.storage.objects import StoredObject
from sss_ops.storage.published import HOME, refuse_other
from sss_ops.storage.s3 import SCHEME

if TYPE_CHECKING:
    from sss_model.config import Model


FOLDER = Path("checkpoints")
"""Where pretrained weights are kept unless another folder is given."""
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
        return fetch_pretrained(named, version=model.version, folder=folder)
    known = published.find_published(Path(named).name)
    if known:
        refuse_other(Path(named), known, where=named)
    return Path(named)


def refuse_misfit(model: Model) -> None:
    """Refuse a recipe whose checkpoint is, by its name alone, of another encoder or version.

    Raises:
        InputError: with both.
    """
    named = model.checkpoint
    if not named:
        return
    known = published.find_published(named, model.version) or published.find_published(PurePosixPath(named).name)
    if known and (known.encoder, known.version) != (model.encoder, model.version):
        raise InputError(
            f"model.checkpoint: {named} is for the encoder {known.encoder} of version {known.version}, "
            f"the recipe has {model.encoder} of {model.version}; expected both alike"
        )


def fetch_pretrained(named: str, *, version: str, folder: Path = FOLDER, mirror: str | None = None) -> Path:
    """Bring pretrained weights into a folder, unless they are there.

    Args:
        named: ``s3://BUCKET/KEY``, or a name that `sss_ops.storage.published` knows.
        version: of SAM-2, where the name is a size.
        mirror: address to use in place of Meta's; if not given, the one in the environment's `MIRROR`.

    Raises:
        InputError: nothing is known by that name, it can't be had, or what is there is not what it should be.
    """
    if named.startswith(SCHEME):
        return _fetch_object(named, folder)
    known = published.find_published(named, version)
    if known is None:
        raise InputError(f"{named}: no such checkpoint; expected a file, s3://BUCKET/KEY, {published.names()}")
    home = (mirror or os.environ.get(MIRROR) or HOME).rstrip("/")
    source = WebFile(f"{home}/{known.release}/{known.file}", known.size)
    return _bring(source, folder / known.file, lambda path, where: refuse_other(path, known, where=where))


def _fetch_object(uri: str, folder: Path) -> Path:
    source, known = StoredObject.at(uri), published.find_published(PurePosixPath(uri).name)

    def check(path: Path, where: str) -> bool:
        return refuse_other(path, known, where=where) if known else source.check(path, where)

    # New bytes under an old address are another file.
    content = hashlib.sha256(f"{uri}\n{source.etag}".encode()).hexdigest()[:16]
    return _bring(source, folder / "s3" / content / PurePosixPath(uri).name, check)


def _bring(source: Source, target: Path, check: Callable[[Path, str], bool]) -> Path:
    from sss_model.progress import ProgressBar

    with ProgressBar(target.name, unit="bytes", log_lines=10) as progress:
        download(source, target, check=check, on_bytes=lambda here: progress.show(here, total=source.size))
    return target
