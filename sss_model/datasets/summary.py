"""What a person should know of a data set that was imported, or is going to be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sss_model.datasets.assignments import SPLITS, Assignment
from sss_model.datasets.canonical import Dataset
from sss_model.datasets.inventory import Inventory
from sss_model.facts import Facts

_WIDTH = 100


@dataclass(frozen=True)
class Summary:
    """What an import made; as text, the data set in numbers, its licence and whom to cite.

    Attributes:
        facts: of each case, in the order of `dataset`'s cases.
    """

    dataset: Dataset
    facts: Sequence[Facts]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        dataset = self.dataset
        lines = [f"{dataset.folder}: {_people(dataset.splits)}", "", self._sides(), "", self._classes(), ""]
        return "\n".join([*lines, *_small_print(self.notes, dataset.licence, dataset.citation)]).rstrip()

    def _sides(self) -> str:
        rows = []
        for split in SPLITS:
            on_side = [(place, facts) for place, facts in self._cases() if place.split == split]
            patients = len({place.patient for place, _ in on_side})
            labelled = sum(facts.label_sha256 is not None for _, facts in on_side)
            slices = sum(facts.slices for _, facts in on_side)
            cells = [str(number) for number in (patients, len(on_side), labelled, slices)]
            rows.append([split, *cells, _range_of(facts.spacing_mm for _, facts in on_side)])
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

    def _cases(self) -> Iterable[tuple[Assignment, Facts]]:
        return zip(self.dataset.splits, self.facts, strict=True)


@dataclass(frozen=True)
class Plan:
    """What an import would make; as text, what was understood of the source."""

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
            f"{self.source}: {_people(rows)}; nothing is written (--dry-run)",
            f"{inventory.channel} as {inventory.file_ending}; {labelled} cases with a label, "
            f"{len(scans) - labelled} without",
            f"Labels: {labels}",
            "",
            _table(
                ["case", "patient", "split", "image", "label"],
                [[scan.case, *_place(wanted[scan.case]), *self._files(scan.image, scan.label)] for scan in scans[:5]],
            ),
        ]
        more = len(scans) - 5
        lines += [f"and {more} more cases", ""] if more > 0 else [""]
        return "\n".join([*lines, *_small_print(inventory.notes, inventory.licence, inventory.citation)]).rstrip()

    def _files(self, image: Path, label: Path | None) -> list[str]:
        return [path.name if path else "none" for path in (image, label)]


def _place(row: Assignment) -> list[str]:
    return [row.patient, row.split]


def _people(rows: Sequence[Assignment]) -> str:
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
