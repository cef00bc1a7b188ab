"""Import a data set of any layout into the canonical one, whole or not at all, resumable after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sss_model.data.archive import opened
from sss_model.data.canonical import CaseFiles, Dataset, open_dataset, write_dataset
from sss_model.data.inventory import Inventory, Scan, assign_splits, source_state
from sss_model.data.layouts import acdc, bhsd, btcv, dicom, folder, nnunet, refuge
from sss_model.data.manifest import CaseFacts, inspect_case
from sss_model.data.splits import SPLITS, Assignment
from sss_model.data.staging import Staging, finished, staging_for
from sss_model.errors import InputError
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
"""Layouts that are read from a folder or zip file, and the function that lists their scans."""

LAYOUTS = (*SOURCES, "phantom")

_WIDTH = 100


@dataclass(frozen=True)
class ImportOptions:
    """A file or folder of splits, the seed of ours where there is none, and the layout's own options."""

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
) -> ImportSummary:
    """Turn a source into a canonical data set, whole or not at all.

    A killed import leaves its work in a hidden folder beside the destination; the same import resumes there and gives
    the same bytes as one that was not killed.

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
    options = ImportOptions(splits, seed, choices)
    key = _key(layout, source, options)
    if (done := finished(destination, key)) is not None:
        return ImportSummary(open_dataset(destination), done, ("It was finished when an import was cut off.",))
    _check_destination(destination, source, replace=replace)
    write = _phantom if layout == "phantom" else _from_source
    with staging_for(destination, key) as staging:
        facts, notes = write(layout, source, staging, options)
        open_dataset(staging.new)
        staging.put_into_place()
    return ImportSummary(open_dataset(destination), facts, notes)


def plan_import(layout: str, source: Path, *, splits: Path | None = None, seed: int = 0, **choices: Any) -> ImportPlan:
    """Describe what an import would write, writing nothing; arguments and errors as of `import_dataset`."""
    _check_layout(layout)
    with tempfile.TemporaryDirectory() as name, opened(source, Path(name)) as folder:
        inventory = SOURCES[layout](folder, **choices)
        return ImportPlan(source, inventory, assign_splits(inventory, splits, seed=seed))


_Written = tuple[list[CaseFacts], tuple[str, ...]]
"""Facts of the cases, sorted by case, and notes for a person."""


def _key(layout: str, source: Path | None, options: ImportOptions) -> str:
    """Hash of layout, source, options and code: only an import of the same key may be resumed."""
    paths = {"source": source, "splits": options.splits}
    paths |= {name: choice for name, choice in options.choices.items() if isinstance(choice, Path)}
    states = {name: source_state(path) for name, path in paths.items() if path}
    choices = {name: str(choice) for name, choice in options.choices.items()}
    return hashlib.sha256(
        json.dumps([code_sha256(), layout, options.seed, states, choices], sort_keys=True).encode()
    ).hexdigest()


def _phantom(layout: str, source: Path | None, staging: Staging, options: ImportOptions) -> _Written:
    from sss_model.data.phantom import write_phantom

    write_phantom(staging.new, seed=options.seed)
    dataset = open_dataset(staging.new)
    return for_each(lambda files: inspect_case(files, dataset.labels), dataset.cases, description="Reading volumes"), ()


def _from_source(layout: str, source: Path | None, staging: Staging, options: ImportOptions) -> _Written:
    if source is None:
        raise InputError(f"{layout}: no source given; expected a folder or zip file")
    with opened(source, staging.folder) as folder:
        inventory = SOURCES[layout](folder, **options.choices)
        return _write_all(inventory, staging, options)


def _write_all(inventory: Inventory, staging: Staging, options: ImportOptions) -> _Written:
    rows = {row.case: row for row in assign_splits(inventory, options.splits, seed=options.seed)}
    facts, resumed = _write_cases(inventory, rows, staging)
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


def _write_cases(inventory: Inventory, rows: Mapping[str, Assignment], staging: Staging) -> tuple[list[CaseFacts], int]:
    """Write images and labels of the cases that have a row, several at a time.

    Returns:
        Facts of the cases, sorted by case, and how many of them an interrupted import had written already.

    Raises:
        InputError: a scan can't be used; the sentence names its case and file.
    """
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (staging.new / part).mkdir(parents=True, exist_ok=True)
    jobs = sorted(
        ((scan, _files(scan, rows[scan.case], inventory, staging)) for scan in inventory.scans if scan.case in rows),
        key=lambda job: job[0].case,
    )
    made = for_each(lambda job: _made(*job, inventory, staging), jobs, description="Importing scans")
    return [facts for facts, _ in made], sum(was_there for _, was_there in made)


def _files(scan: Scan, row: Assignment, inventory: Inventory, staging: Staging) -> CaseFiles:
    part, ending = "Ts" if row.split == "test" else "Tr", inventory.file_ending
    image = staging.new / f"images{part}" / f"{scan.case}_0000{ending}"
    return CaseFiles(scan.case, image, staging.new / f"labels{part}" / f"{scan.case}{ending}" if scan.label else None)


def _made(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> tuple[CaseFacts, bool]:
    known = staging.recorded(files)
    if known:
        return known, True
    write = _copy if inventory.convert is None else _convert
    facts = write(scan, files, inventory, staging)
    staging.record(files, facts)
    return facts, False


def _convert(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> CaseFacts:
    assert inventory.convert is not None
    try:
        inventory.convert(scan, files.image, files.label)
        return inspect_case(files, inventory.labels)
    except InputError as error:
        # The message names the source's file, which is the one a person can inspect.
        sentence = str(error).replace(str(files.image), str(scan.image)).replace(str(files.label), str(scan.label))
        prefix = f"case {scan.case}: "
        raise InputError(prefix + sentence.removeprefix(prefix)) from None


def _copy(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> CaseFacts:
    """Copy a case's bytes unchanged, once they have proved usable."""
    facts = inspect_case(CaseFiles(scan.case, scan.image, scan.label), inventory.labels)
    for source, target in ((scan.image, files.image), (scan.label, files.label)):
        if source and target:
            _take(source, target, staging.folder)
    return facts


def _take(source: Path, target: Path, workspace: Path) -> None:
    target.unlink(missing_ok=True)
    # Files unpacked for this import are linked, not copied: they need no second place on the disk, and a resumed import
    # finds them again. A link among them leads to the user's own file, which is copied.
    if source.resolve().is_relative_to(workspace.resolve()):
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # not every file system has hard links
    shutil.copyfile(source, target)


@dataclass(frozen=True)
class ImportSummary:
    """An imported data set; as text, its numbers, licence and citation.

    Attributes:
        facts: of each case, in the order of `dataset`'s cases.
    """

    dataset: Dataset
    facts: Sequence[CaseFacts]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        dataset = self.dataset
        lines = [f"{dataset.folder}: {_counts(dataset.splits)}", "", self._splits(), "", self._classes(), ""]
        return "\n".join([*lines, *_small_print(self.notes, dataset.licence, dataset.citation)]).rstrip()

    def _splits(self) -> str:
        rows = []
        for split in SPLITS:
            in_split = [(row, facts) for row, facts in self._cases() if row.split == split]
            patients = len({row.patient for row, _ in in_split})
            labelled = sum(facts.label_sha256 is not None for _, facts in in_split)
            slices = sum(facts.slices for _, facts in in_split)
            cells = [str(number) for number in (patients, len(in_split), labelled, slices)]
            rows.append([split, *cells, _range_of(facts.spacing_mm for _, facts in in_split)])
        return _table(["split", "patients", "cases", "labelled", "slices", "voxel size, mm"], rows)

    def _classes(self) -> str:
        voxels: Counter[str] = Counter()
        cases: Counter[str] = Counter()
        for facts in self.facts:
            voxels.update(facts.voxels)
            cases.update(name for name, count in facts.voxels.items() if count)
        whole = max(voxels.total(), 1)
        rows = [
            [str(value), name, str(cases[name]), f"{100 * voxels[name] / whole:.2g} %"]
            for name, value in self.dataset.labels.items()
        ]
        return _table(["label", "class", "cases", "of labelled voxels"], rows)

    def _cases(self) -> Iterable[tuple[Assignment, CaseFacts]]:
        return zip(self.dataset.splits, self.facts, strict=True)


@dataclass(frozen=True)
class ImportPlan:
    """What an import would write, as text (``--dry-run``)."""

    source: Path
    inventory: Inventory
    rows: Sequence[Assignment]

    def __str__(self) -> str:
        inventory, rows = self.inventory, self.rows
        wanted = {row.case: row for row in rows}
        scans = [scan for scan in inventory.scans if scan.case in wanted]
        labels = ", ".join(f"{value} {name}" for name, value in inventory.labels.items())
        labelled = sum(scan.label is not None for scan in scans)
        lines = [
            f"{self.source}: {_counts(rows)}; nothing is written (--dry-run)",
            f"{inventory.channel} as {inventory.file_ending}; {labelled} cases with a label, "
            f"{len(scans) - labelled} without",
            f"Labels: {labels}",
            "",
            _table(
                ["case", "patient", "split", "image", "label"],
                [
                    [scan.case, *_patient_and_split(wanted[scan.case]), *self._files(scan.image, scan.label)]
                    for scan in scans[:5]
                ],
            ),
        ]
        more = len(scans) - 5
        lines += [f"and {more} more cases", ""] if more > 0 else [""]
        return "\n".join([*lines, *_small_print(inventory.notes, inventory.licence, inventory.citation)]).rstrip()

    def _files(self, image: Path, label: Path | None) -> list[str]:
        return [path.name if path else "none" for path in (image, label)]


def _patient_and_split(row: Assignment) -> list[str]:
    return [row.patient, row.split]


def _counts(rows: Sequence[Assignment]) -> str:
    patients = Counter(split for _, split in {(row.patient, row.split) for row in rows})
    sides = ", ".join(f"{patients[split]} {split}" for split in SPLITS)
    return f"{len(rows)} cases of {patients.total()} patients ({sides})"


def _small_print(notes: Sequence[str], licence: str, citation: str) -> list[str]:
    lines = [f"Note: {note}" for note in notes]
    lines += [f"Licence: {licence}"] if licence else []
    return lines + ([f"Please cite: {citation}"] if citation else [])


def _range_of(spacings: Iterable[tuple[float, ...]]) -> str:
    axes: dict[int, list[float]] = defaultdict(list)
    for spacing in spacings:
        for axis, value in enumerate(sorted(spacing)):
            axes[axis].append(value)
    ends = [(min(values), max(values)) for values in axes.values()]
    return " × ".join(f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g}–{high:.3g}" for low, high in ends)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=_WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
