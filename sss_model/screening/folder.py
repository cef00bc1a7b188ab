"""Whether a data set's folder is still what its manifest was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sss_model.datasets.assignments import Assignment
from sss_model.datasets.canonical import open_dataset
from sss_model.manifest import Case, Manifest


@dataclass(frozen=True)
class Listing:
    """A case as folder and manifest list it.

    Attributes:
        only_in: ``the folder`` or ``the manifest``, where it is in one of them alone.
        row, manifest_row: patient, group, split and label order as splits.csv and manifest have them; None where
            it is in one of them alone.
    """

    case: str
    only_in: str | None
    row: str | None
    manifest_row: str | None


def compare_with_folder(manifest: Manifest, data_dir: Path) -> list[Listing]:
    """Every case of either, by name; raises `InputError` where the folder is no data set any more."""
    rows = {row.case: _words(row) for row in open_dataset(data_dir).splits}
    known = {case.case: _words(case) for case in manifest.cases}
    listings = []
    for name in sorted(rows.keys() | known.keys()):
        if name in rows and name in known:
            listings.append(Listing(name, None, rows[name], known[name]))
        else:
            listings.append(Listing(name, "the folder" if name in rows else "the manifest", None, None))
    return listings


def _words(row: Assignment | Case) -> str:
    order = "no label order" if row.label_order is None else str(row.label_order)
    return ", ".join((row.patient, row.group or "no group", row.split, order))
