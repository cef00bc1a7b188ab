"""The scans to predict: a file, the files below a folder, or the objects under a prefix of a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_model.io import FILE_ENDINGS
from sss_ops.storage import s3
from sss_ops.storage.fetch import fetch_objects
from sss_ops.storage.objects import list_objects

if TYPE_CHECKING:
    from sss_model.io.volumes import Volume


@dataclass(frozen=True)
class InputScan:
    """A scan on this machine or in a bucket.

    Attributes:
        name: its path below the folder or prefix, with forward slashes; its mask gets the same.
        where: its full path or address.
        stamp: changes when the file does.
    """

    name: str
    where: str
    stamp: str

    def read(self) -> Volume:
        """Read the scan, an object by way of a temporary file; raises `InputError` where it can't be read."""
        from sss_model.io.volumes import read_volume

        if not self.where.startswith(s3.SCHEME):
            return read_volume(Path(self.where))

        with tempfile.TemporaryDirectory(prefix="sss-") as folder:
            path = Path(folder, PurePosixPath(self.where).name)
            fetch_objects(self.where, Path(folder), threads=1)
            try:
                return read_volume(path)
            except InputError as error:
                raise InputError(str(error).replace(str(path), self.where)) from None  # instead of a temporary path


def find_scans(place: str, *, masks: str | None = None) -> list[InputScan]:
    """List the scans at a place by name, without hidden files; of a data set in nnU-Net's layout, its images.

    Args:
        place: a file, a folder, or ``s3://BUCKET/PREFIX``.
        masks: where the masks go; what is there, below the place, is no scan.

    Raises:
        InputError: nothing is there, no scans are, or the store refuses.
    """
    if place.startswith(s3.SCHEME):
        return _in_bucket(place, masks)
    path = Path(place)
    if path.is_file():
        folder, names = path.parent, [path.name]
    elif path.is_dir():
        folder, names = path, _images(_below(path, masks), place)
    else:
        raise InputError(
            f"{place}: no such file or folder; expected a scan ({', '.join(FILE_ENDINGS)}), a folder of scans, or "
            "s3://BUCKET/PREFIX"
        )
    files = [(name, folder / name, (folder / name).stat()) for name in names]
    return [InputScan(name, str(file), f"{facts.st_size}-{facts.st_mtime_ns}") for name, file, facts in files]


def read_ahead(scans: Sequence[InputScan]) -> Iterator[tuple[InputScan, Future[Volume]]]:
    """Read scans in order, the next one while the caller works on this one; no more than two are in memory.

    Yields:
        Each scan with its volume; where it can't be read, the future's ``result()`` raises `InputError`.
    """
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Volume] | None = None
        for scan, following in zip(scans, [*scans[1:], None], strict=True):
            volume = coming or pool.submit(scan.read)
            wait([volume])
            coming = pool.submit(following.read) if following else None
            yield scan, volume


def _below(folder: Path, masks: str | None) -> Iterator[str]:
    made = Path(masks).resolve() if masks and not masks.startswith(s3.SCHEME) else None
    if made is not None and folder.resolve().is_relative_to(made):
        made = None  # the same folder holds the scans
    for path in sorted(folder.rglob("*")):
        own = made is not None and path.resolve().is_relative_to(made)
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not own and not _hidden(name):
            yield name


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _images(names: Iterable[str], place: str) -> list[str]:
    names = list(names)
    if "dataset.json" in names:
        # Labels have the same endings.
        names = [name for name in names if PurePosixPath(name).parts[0] in ("imagesTr", "imagesTs")]
    scans = sorted(name for name in names if name.endswith(FILE_ENDINGS))
    if not scans:
        raise InputError(f"{place}: no scans there; expected files that end in {', '.join(FILE_ENDINGS)}")
    return scans


def _in_bucket(uri: str, masks: str | None) -> list[InputScan]:
    objects = list_objects(uri, s3.s3_client())
    made = f"{masks.rstrip('/')}/" if masks else None
    if made is not None and f"{uri.rstrip('/')}/".startswith(made):
        made = None
    names = [name for name, each in objects.items() if made is None or not each.address.startswith(made)]
    images = _images((name for name in names if not _hidden(name)), uri)
    return [InputScan(name, objects[name].address, objects[name].etag) for name in images]
