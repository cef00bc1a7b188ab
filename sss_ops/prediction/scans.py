"""The scans at a place: a file, a folder with all below it, or what lies under a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from sss_model.errors import InputError
from sss_ops.storage import s3

ENDINGS = (".nii.gz", ".nii", ".png")


@dataclass(frozen=True)
class Scan:
    """A scan that may have to be fetched.

    Attributes:
        name: its path below the place, with forward slashes; its mask gets the same.
        where: its full path or address, for messages.
        stamp: changes when the file does.
        bring: puts the file into a folder, if it is not on this machine, and says where it is.
    """

    name: str
    where: str
    stamp: str
    bring: Callable[[Path], Path]


@dataclass(frozen=True)
class Scans:
    """What was found, by name, and whether the place was the one scan itself."""

    scans: tuple[Scan, ...]
    single: bool


def find_scans(place: str, *, masks: str | None = None) -> Scans:
    """List the scans of a place; files whose name begins with a dot are none, and of a data set in nnU-Net's layout
    only its images are.

    Args:
        place: a path, or ``s3://BUCKET/PREFIX``.
        masks: where masks go; what lies there, below the place, is no scan.

    Raises:
        InputError: nothing is there, no scans are, or the store refuses.
    """
    if place.startswith(s3.SCHEME):
        return _in_bucket(place, masks)
    path = Path(place)
    if path.is_file():
        return Scans((_file(path, path.parent),), single=True)
    if not path.is_dir():
        raise InputError(
            f"{place}: no such file or folder; expected a scan ({', '.join(ENDINGS)}), a folder of scans, or "
            "s3://BUCKET/PREFIX"
        )
    files = {file.relative_to(path).as_posix(): file for file in _below(path, masks)}
    return Scans(tuple(_file(files[name], path) for name in _images(files, place)), single=False)


def _below(folder: Path, masks: str | None) -> Iterator[Path]:
    made = Path(masks).resolve() if masks and not masks.startswith(s3.SCHEME) else None
    if made is not None and folder.resolve().is_relative_to(made):
        made = None  # it holds the scans, too
    for path in sorted(folder.rglob("*")):
        own = made is not None and path.resolve().is_relative_to(made)
        if path.is_file() and not own and not _hidden(path.relative_to(folder).as_posix()):
            yield path


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _images(names: Iterable[str], place: str) -> list[str]:
    names = list(names)
    if "dataset.json" in names:
        # Of a data set in nnU-Net's layout; its labels have the same endings.
        names = [name for name in names if PurePosixPath(name).parts[0] in ("imagesTr", "imagesTs")]
    scans = sorted(name for name in names if name.endswith(ENDINGS))
    if not scans:
        raise InputError(f"{place}: no scans there; expected files that end in {', '.join(ENDINGS)}")
    return scans


def _file(path: Path, folder: Path) -> Scan:
    facts = path.stat()
    name = path.relative_to(folder).as_posix()
    return Scan(name, str(path), f"{facts.st_size}-{facts.st_mtime_ns}", lambda into: path)


def _in_bucket(uri: str, masks: str | None) -> Scans:
    from sss_ops.storage.objects import list_objects

    objects = list_objects(uri, s3.s3_client())
    single = len(objects) == 1 and next(iter(objects.values())).key == s3.bucket_and_key(uri)[1]
    made = f"{masks.rstrip('/')}/" if masks else None
    if made is not None and f"{uri.rstrip('/')}/".startswith(made):
        made = None
    names = [name for name, each in objects.items() if made is None or not each.address.startswith(made)]
    found = [(name, objects[name]) for name in _images((name for name in names if not _hidden(name)), uri)]
    return Scans(
        tuple(Scan(name, each.address, each.etag, partial(_fetch, each.address)) for name, each in found), single
    )


def _fetch(uri: str, into: Path) -> Path:
    from sss_ops.storage.fetch import fetch_objects

    fetch_objects(uri, into, threads=1)
    return into / PurePosixPath(uri).name
