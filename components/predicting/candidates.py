"""Which scans of a data set a checkpoint could be given labels of next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from components.predicting.scans import Scan
from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.checkpoint import Meta


@dataclass(frozen=True)
class Candidate:
    """A scan, by its case, and whose it is."""

    case: str
    patient: str
    group: str
    image: Path

    def scan(self, folder: Path) -> Scan:
        """The scan as `components.predicting.stream.judge_scans` takes it."""
        return Scan(self.image.relative_to(folder).as_posix(), str(self.image), "", partial(_there, self.image))


@dataclass(frozen=True)
class Candidates:
    """Scans to choose from, those that the checkpoint has labels of, and whether the former have labels, too, which
    training did not see (``data.labelled``)."""

    open: tuple[Candidate, ...]
    labelled: tuple[Candidate, ...]
    hidden: bool


def find_candidates(data: Path, meta: Meta) -> Candidates:
    """Share out the training scans of a data set; those of validation and test patients are in neither part.

    Scans without a label are to choose from; where every one has a label, those whose label the checkpoint never saw.

    Raises:
        InputError: not a data set in the canonical layout, other classes than the checkpoint's, or none is left.
    """
    from sss_model.datasets.canonical import open_dataset

    found = open_dataset(data)
    if found.labels != meta.labels:
        raise InputError(f"{data}: its classes are {found.labels}; expected the checkpoint's, {meta.labels}")
    rows = {row.case: row for row in found.splits}
    held_out = {row.patient for row in found.splits if row.split != "train"} | set(meta.patients.validation)
    named = {
        files: Candidate(files.case, rows[files.case].patient, rows[files.case].group, files.image)
        for files in found.cases
        if rows[files.case].patient not in held_out
    }
    lenders = set(meta.patients.labelled)
    fresh = [each for files, each in named.items() if files.label is None and each.patient not in lenders]
    unseen = [each for files, each in named.items() if files.label is not None and each.patient not in lenders]
    if not (fresh or unseen):
        raise InputError(f"{data}: the checkpoint has labels of all training patients; expected unlabelled scans")
    labelled = tuple(each for each in named.values() if each.patient in lenders)
    return Candidates(tuple(fresh or unseen), labelled, hidden=not fresh)


def _there(image: Path, into: Path) -> Path:
    return image
