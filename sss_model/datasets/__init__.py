"""Data sets: one file per layout, each turned into the canonical one."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sss_model.datasets import acdc, nnunet
from sss_model.datasets.archive import opened
from sss_model.datasets.assignments import Assignment
from sss_model.datasets.canonical import CaseFiles, Dataset, open_dataset, write_dataset
from sss_model.datasets.inventory import Inventory, Scan, assign
from sss_model.errors import InputError


@dataclass(frozen=True)
class Options:
    """How to import: a file or folder of splits, or else the seed of ours."""

    splits: Path | None
    seed: int


Importer = Callable[[Path | None, Path, Options], None]


@dataclass(frozen=True)
class Summary:
    """What an import made; as text, what a person should know about it."""

    dataset: Dataset

    def __str__(self) -> str:
        splits = self.dataset.splits
        patients = Counter(split for _, split in {(row.patient, row.split) for row in splits})
        sides = ", ".join(f"{patients[split]} {split}" for split in ("train", "val", "test"))
        lines = [f"{self.dataset.folder}: {len(splits)} cases of {patients.total()} patients ({sides})"]
        lines += [f"Licence: {self.dataset.licence}"] if self.dataset.licence else []
        lines += [f"Please cite: {self.dataset.citation}"] if self.dataset.citation else []
        return "\n".join(lines)


def import_dataset(
    layout: str,
    source: Path | None,
    destination: Path,
    *,
    splits: Path | None = None,
    seed: int = 0,
    replace: bool = False,
) -> Summary:
    """Turn a source into a canonical data set, whole or not at all.

    Args:
        layout: a key of `LAYOUTS`.
        source: a folder or zip file; None for a layout that makes its own scans.
        destination: the new folder, absent or empty unless `replace`.
        splits: a CSV file like ``splits.csv`` or a folder of SSL4MIS's lists; None for the source's own or seeded ones.
        seed: of the seeded splits, or of the scans themselves where the layout makes them.

    Raises:
        InputError: an unknown layout, a destination in the way, or a source that can't be used; nothing is written.
        OSError: a full disk and the like; nothing is left behind.
    """
    if layout not in LAYOUTS:
        raise InputError(f"{layout}: unknown layout; expected one of {', '.join(LAYOUTS)}")
    _check_destination(destination, source, replace=replace)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{destination.name}.", dir=destination.parent) as name:
        staged, old = Path(name) / "new", Path(name) / "old"
        LAYOUTS[layout](source, staged, Options(splits, seed))
        open_dataset(staged)
        if destination.exists():
            destination.rename(old)
        staged.rename(destination)
    return Summary(open_dataset(destination))


def _from_source(take_inventory: Callable[[Path], Inventory]) -> Importer:
    def importer(source: Path | None, destination: Path, options: Options) -> None:
        if source is None:
            raise InputError(f"{destination.name}: no source given; expected a folder or zip file")
        with opened(source, destination.parent) as folder:
            _copy_all(take_inventory(folder), destination, options)

    return importer


def _phantom(source: Path | None, destination: Path, options: Options) -> None:
    from sss_model.datasets.phantom import write_phantom

    write_phantom(destination, seed=options.seed)


LAYOUTS: dict[str, Importer] = {
    "acdc": _from_source(acdc.inventory),
    "nnunet": _from_source(nnunet.inventory),
    "phantom": _phantom,
}


def _copy_all(inventory: Inventory, destination: Path, options: Options) -> None:
    from sss_model.parallel import for_each

    rows = {row.case: row for row in assign(inventory, options.splits, seed=options.seed)}
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (destination / part).mkdir(parents=True)
    jobs = [(scan, rows[scan.case]) for scan in inventory.scans if scan.case in rows]
    for_each(lambda job: _copy(*job, inventory, destination), jobs, description="Importing scans")
    write_dataset(
        destination,
        labels=inventory.labels,
        splits=list(rows.values()),
        channel=inventory.channel,
        file_ending=inventory.file_ending,
        licence=inventory.licence,
        citation=inventory.citation,
    )


def _copy(scan: Scan, row: Assignment, inventory: Inventory, destination: Path) -> None:
    """Copy a case's bytes as they are, once they have proved to be usable."""
    from sss_model.facts import inspect

    inspect(CaseFiles(scan.case, scan.image, scan.label), inventory.labels)
    part = "Ts" if row.split == "test" else "Tr"
    shutil.copyfile(scan.image, destination / f"images{part}" / f"{scan.case}_0000{inventory.file_ending}")
    if scan.label:
        shutil.copyfile(scan.label, destination / f"labels{part}" / f"{scan.case}{inventory.file_ending}")


def _check_destination(destination: Path, source: Path | None, *, replace: bool) -> None:
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: a file is in the way; expected a new folder")
    if destination.is_dir() and any(destination.iterdir()) and not replace:
        raise InputError(f"{destination}: already holds something; expected an empty folder, or --replace")
    if source and source.resolve().is_relative_to(destination.resolve()):
        raise InputError(f"{destination}: holds the source {source} itself; expected another folder")
