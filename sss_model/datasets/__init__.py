"""Data sets: one file per layout, each turned into the canonical one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sss_model.datasets import acdc, bhsd, btcv, dicom, folder, nnunet, refuge
from sss_model.datasets.archive import opened
from sss_model.datasets.assignments import Assignment
from sss_model.datasets.canonical import CaseFiles, open_dataset, write_dataset
from sss_model.datasets.inventory import Inventory, Scan, assign
from sss_model.datasets.summary import Plan, Summary
from sss_model.errors import InputError
from sss_model.facts import Facts, inspect
from sss_model.parallel import for_each

SOURCES: dict[str, Callable[..., Inventory]] = {
    "acdc": acdc.inventory,
    "bhsd": bhsd.inventory,
    "btcv": btcv.inventory,
    "dicom": dicom.inventory,
    "folder": folder.inventory,
    "nnunet": nnunet.inventory,
    "refuge": refuge.inventory,
}
"""Layouts that are read from a folder or zip file: what lists their scans."""

LAYOUTS = (*SOURCES, "phantom")


@dataclass(frozen=True)
class Options:
    """How to import: a file or folder of splits, or else the seed of ours; and the layout's own choices."""

    splits: Path | None
    seed: int
    choices: Mapping[str, Any] = field(default_factory=dict)


def import_dataset(
    layout: str,
    source: Path | None,
    destination: Path,
    *,
    splits: Path | None = None,
    seed: int = 0,
    replace: bool = False,
    **choices: Any,
) -> Summary:
    """Turn a source into a canonical data set, whole or not at all.

    Args:
        layout: one of `LAYOUTS`.
        source: a folder or zip file; None for a layout that makes its own scans.
        destination: the new folder, absent or empty unless `replace`.
        splits: a CSV file like ``splits.csv`` or a folder of SSL4MIS's lists; None for the source's own or seeded ones.
        seed: of the seeded splits, or of the scans themselves where the layout makes them.
        choices: further arguments of the layout's ``inventory``.

    Raises:
        InputError: an unknown layout, a destination in the way, or a source that can't be used; nothing is written.
        OSError: a full disk and the like; nothing is left behind.
    """
    _check_layout(layout)
    _check_destination(destination, source, replace=replace)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{destination.name}.", dir=destination.parent) as name:
        staged, old = Path(name) / "new", Path(name) / "old"
        options = Options(splits, seed, choices)
        write = _phantom if layout == "phantom" else _from_source
        facts, notes = write(layout, source, staged, options)
        open_dataset(staged)
        if destination.exists():
            destination.rename(old)
        staged.rename(destination)
    return Summary(open_dataset(destination), facts, notes)


def plan_import(layout: str, source: Path, *, splits: Path | None = None, seed: int = 0, **choices: Any) -> Plan:
    """Say what an import would make of a source, writing nothing; arguments and errors as of `import_dataset`."""
    _check_layout(layout)
    with tempfile.TemporaryDirectory() as name, opened(source, Path(name)) as folder:
        inventory = SOURCES[layout](folder, **choices)
        return Plan(source, inventory, assign(inventory, splits, seed=seed))


_Written = tuple[list[Facts], tuple[str, ...]]
"""Facts of the cases, sorted by case, and what a person should read."""


def _phantom(layout: str, source: Path | None, destination: Path, options: Options) -> _Written:
    from sss_model.datasets.phantom import write_phantom

    write_phantom(destination, seed=options.seed)
    dataset = open_dataset(destination)
    return for_each(lambda files: inspect(files, dataset.labels), dataset.cases, description="Reading volumes"), ()


def _from_source(layout: str, source: Path | None, destination: Path, options: Options) -> _Written:
    if source is None:
        raise InputError(f"{destination.name}: no source given; expected a folder or zip file")
    with opened(source, destination.parent) as folder:
        inventory = SOURCES[layout](folder, **options.choices)
        return _write_all(inventory, destination, options), inventory.notes


def _write_all(inventory: Inventory, destination: Path, options: Options) -> list[Facts]:
    """Write the canonical data set; returns facts of its cases, sorted by case."""
    rows = {row.case: row for row in assign(inventory, options.splits, seed=options.seed)}
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (destination / part).mkdir(parents=True)
    jobs = sorted(
        ((scan, rows[scan.case]) for scan in inventory.scans if scan.case in rows), key=lambda job: job[0].case
    )
    facts = for_each(lambda job: _write(*job, inventory, destination), jobs, description="Importing scans")
    write_dataset(
        destination,
        labels=inventory.labels,
        splits=list(rows.values()),
        channel=inventory.channel,
        file_ending=inventory.file_ending,
        licence=inventory.licence,
        citation=inventory.citation,
        notes=inventory.notes,
    )
    return facts


def _write(scan: Scan, row: Assignment, inventory: Inventory, destination: Path) -> Facts:
    part, ending = "Ts" if row.split == "test" else "Tr", inventory.file_ending
    image = destination / f"images{part}" / f"{scan.case}_0000{ending}"
    label = destination / f"labels{part}" / f"{scan.case}{ending}" if scan.label else None
    if inventory.convert is None:
        return _copy(scan, image, label, inventory.labels, destination.parent)
    try:
        inventory.convert(scan, image, label)
        return inspect(CaseFiles(scan.case, image, label), inventory.labels)
    except InputError as error:
        # What is wrong with a converted file is wrong with the source's, which is the one a person can look at.
        sentence = str(error).replace(str(image), str(scan.image)).replace(str(label), str(scan.label))
        prefix = f"case {scan.case}: "
        raise InputError(prefix + sentence.removeprefix(prefix)) from None


def _copy(scan: Scan, image: Path, label: Path | None, labels: dict[str, int], workspace: Path) -> Facts:
    """Take a case's bytes as they are, once they have proved to be usable."""
    facts = inspect(CaseFiles(scan.case, scan.image, scan.label), labels)
    for source, target in ((scan.image, image), (scan.label, label)):
        if source and target:
            _take(source, target, workspace)
    return facts


def _take(source: Path, target: Path, workspace: Path) -> None:
    # What was unpacked for this import needn't lie on the disk twice; a link in there leads to the user's own file.
    if source.resolve().is_relative_to(workspace.resolve()):
        source.rename(target)
    else:
        shutil.copyfile(source, target)


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise InputError(f"{layout}: unknown layout; expected one of {', '.join(LAYOUTS)}")


def _check_destination(destination: Path, source: Path | None, *, replace: bool) -> None:
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: a file is in the way; expected a new folder")
    if destination.is_dir() and any(destination.iterdir()) and not replace:
        raise InputError(f"{destination}: already holds something; expected an empty folder, or --replace")
    if source and source.resolve().is_relative_to(destination.resolve()):
        raise InputError(f"{destination}: holds the source {source} itself; expected another folder")
