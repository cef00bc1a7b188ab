"""All that the gate knows of a data set, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sss_model.config import Config
from sss_model.errors import InputError
from sss_model.manifest import Case, Manifest, cohort
from sss_model.screening.case_facts import CaseFacts, measure_cases
from sss_model.screening.folder import Listing, compare_with_folder


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
        return next((names[0] for names in self.config.validation.same_person if patient in names), patient)


def gather(manifest: Manifest, config: Config, data_dir: Path) -> Evidence:
    """Read the folder and every volume; nothing that is wrong with them raises."""
    listings, problem = [], None
    try:
        listings = compare_with_folder(manifest, data_dir)
    except InputError as error:
        problem = str(error)
    return Evidence(manifest, config, measure_cases(manifest, data_dir), listings, problem)
