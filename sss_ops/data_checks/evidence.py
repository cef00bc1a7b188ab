"""All that the gate knows of a data set, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sss_model.config import Config
from sss_model.data.canonical import open_dataset
from sss_model.data.manifest import Case, Manifest, cohort
from sss_model.data.screening import CaseFacts, measure_cases
from sss_model.data.splits import Assignment
from sss_model.errors import InputError

# Whether a data set's folder is still what its manifest was made of.


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


@dataclass(frozen=True)
class Evidence:
    """A data set and the recipe that is to be trained on it.

    Attributes:
        facts: one for each case of the manifest, in its order.
        listings: folder and manifest side by side; none where the folder is no data set any more.
        folder_problem: the sentence why it is none.
    """

    manifest: Manifest
    config: Config
    facts: list[CaseFacts]
    listings: list[Listing]
    folder_problem: str | None

    @property
    def lenders(self) -> tuple[Case, ...]:
        """The training cases whose labels training will see."""
        queue = {case.patient for case in self.manifest.split("train") if case.labelled}
        return cohort(self.manifest, min(self.config.data.labelled or len(queue), len(queue))).labelled if queue else ()

    def person(self, patient: str) -> str:
        """Who a patient is: where the recipe says that several names are one person's, the first of them."""
        return next((names[0] for names in self.config.data_checks.same_person if patient in names), patient)


def gather(manifest: Manifest, config: Config, data_dir: Path) -> Evidence:
    """Read the folder and every volume; nothing that is wrong with them raises."""
    listings, problem = [], None
    try:
        listings = compare_with_folder(manifest, data_dir)
    except InputError as error:
        problem = str(error)
    return Evidence(manifest, config, measure_cases(manifest, data_dir), listings, problem)
