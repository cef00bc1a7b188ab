"""Data sets: one file per layout, each turned into the canonical one."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sss_model.datasets import acdc, bhsd, btcv, dicom, folder, nnunet, refuge
from sss_model.datasets.archive import opened
from sss_model.datasets.canonical import open_dataset, write_dataset
from sss_model.datasets.converting import write_cases
from sss_model.datasets.inventory import Inventory, assign
from sss_model.datasets.source_state import state_of
from sss_model.datasets.staging import Staging, finished, staging_for
from sss_model.datasets.summary import Plan, Summary
from sss_model.errors import InputError
from sss_model.facts import Facts, inspect
from sss_model.files import code_sha256
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

    An import that is killed or interrupted leaves its work in a hidden folder beside the destination; the same import
    goes on from there, and gives the same bytes as one that was not killed.

    Args:
        layout: one of `LAYOUTS`.
        source: a folder or zip file; None for a layout that makes its own scans.
        destination: the new folder, absent or empty unless `replace`.
        splits: a CSV file like ``splits.csv`` or a folder of SSL4MIS's lists; None for the source's own or seeded ones.
        seed: of the seeded splits, or of the scans themselves where the layout makes them.
        choices: further arguments of the layout's ``inventory``.

    Raises:
        InputError: an unknown layout, a destination in the way, another import into it, or a source that can't be
            used; nothing is written.
        OSError: a full disk and the like; nothing is left behind.
    """
    _check_layout(layout)
    options = Options(splits, seed, choices)
    key = _key(layout, source, options)
    if (done := finished(destination, key)) is not None:
        return Summary(open_dataset(destination), done, ("It was finished when an import was cut off.",))
    _check_destination(destination, source, replace=replace)
    write = _phantom if layout == "phantom" else _from_source
    with staging_for(destination, key) as staging:
        facts, notes = write(layout, source, staging, options)
        open_dataset(staging.new)
        staging.put_into_place()
    return Summary(open_dataset(destination), facts, notes)


def plan_import(layout: str, source: Path, *, splits: Path | None = None, seed: int = 0, **choices: Any) -> Plan:
    """Say what an import would make of a source, writing nothing; arguments and errors as of `import_dataset`."""
    _check_layout(layout)
    with tempfile.TemporaryDirectory() as name, opened(source, Path(name)) as folder:
        inventory = SOURCES[layout](folder, **choices)
        return Plan(source, inventory, assign(inventory, splits, seed=seed))


_Written = tuple[list[Facts], tuple[str, ...]]
"""Facts of the cases, sorted by case, and what a person should read."""


def _key(layout: str, source: Path | None, options: Options) -> str:
    """Names what is imported, from what, how, and by which code."""
    paths = {"source": source, "splits": options.splits}
    paths |= {name: choice for name, choice in options.choices.items() if isinstance(choice, Path)}
    states = {name: state_of(path) for name, path in paths.items() if path}
    choices = {name: str(choice) for name, choice in options.choices.items()}
    return hashlib.sha256(
        json.dumps([code_sha256(), layout, options.seed, states, choices], sort_keys=True).encode()
    ).hexdigest()


def _phantom(layout: str, source: Path | None, staging: Staging, options: Options) -> _Written:
    from sss_model.datasets.phantom import write_phantom

    write_phantom(staging.new, seed=options.seed)
    dataset = open_dataset(staging.new)
    return for_each(lambda files: inspect(files, dataset.labels), dataset.cases, description="Reading volumes"), ()


def _from_source(layout: str, source: Path | None, staging: Staging, options: Options) -> _Written:
    if source is None:
        raise InputError(f"{layout}: no source given; expected a folder or zip file")
    with opened(source, staging.folder) as folder:
        inventory = SOURCES[layout](folder, **options.choices)
        return _write_all(inventory, staging, options)


def _write_all(inventory: Inventory, staging: Staging, options: Options) -> _Written:
    rows = {row.case: row for row in assign(inventory, options.splits, seed=options.seed)}
    facts, resumed = write_cases(inventory, rows, staging)
    write_dataset(
        staging.new,
        labels=inventory.labels,
        splits=list(rows.values()),
        channel=inventory.channel,
        file_ending=inventory.file_ending,
        licence=inventory.licence,
        citation=inventory.citation,
        notes=inventory.notes,
    )
    of_import = (f"{resumed} of {len(facts)} cases are of an import that was cut off.",) if resumed else ()
    return facts, inventory.notes + of_import


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
