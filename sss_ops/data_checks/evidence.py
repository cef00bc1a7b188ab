"""Evidence for the data checks: the manifest, the folder, and measurements of every volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sss_model.config import Config
from sss_model.data.canonical import open_dataset
from sss_model.data.manifest import Case, Manifest, cohort
from sss_model.data.screening import CaseMeasurements, measure_cases
from sss_model.data.splits import Assignment
from sss_model.errors import InputError


@dataclass(frozen=True)
class Listing:
    """A case in the data set's folder and in its manifest.

    Attributes:
        only_in: ``the folder`` or ``the manifest``, where it is in one of them alone.
        row, manifest_row: patient, group, split and label order in splits.csv and in the manifest; None where it is in
            one of them alone.
    """

    case: str
    only_in: str | None
    row: str | None
    manifest_row: str | None


def compare_with_folder(manifest: Manifest, data_dir: Path) -> list[Listing]:
    """List every case of either, by name; raises `InputError` where the folder is no data set any more."""
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


@dataclass(frozen=True)
class DataEvidence:
    """A data set, its measurements, and the recipe to be trained on it.

    Attributes:
        measurements: of each case of the manifest, in its order.
        listings: folder and manifest compared; empty where the folder is no data set any more.
        folder_problem: why it is none.
    """

    manifest: Manifest
    config: Config
    measurements: list[CaseMeasurements]
    listings: list[Listing]
    folder_problem: str | None

    @property
    def used_labels(self) -> tuple[Case, ...]:
        """The training cases whose labels training will use (``data.labelled``)."""
        queue = {case.patient for case in self.manifest.split("train") if case.labelled}
        return cohort(self.manifest, min(self.config.data.labelled or len(queue), len(queue))).labelled if queue else ()

    def person(self, patient: str) -> str:
        """The patient, or the first of several names that the recipe says are one person's (``same_person``)."""
        return next((names[0] for names in self.config.data_checks.same_person if patient in names), patient)


def gather(manifest: Manifest, config: Config, data_dir: Path) -> DataEvidence:
    """Read the folder and every volume; faults are recorded, not raised."""
    listings, problem = [], None
    try:
        listings = compare_with_folder(manifest, data_dir)
    except InputError as error:
        problem = str(error)
    return DataEvidence(manifest, config, measure_cases(manifest, data_dir), listings, problem)
