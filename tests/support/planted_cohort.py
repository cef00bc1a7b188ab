"""A cohort to plant faults in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from sss_model.config import Config
from sss_model.data.canonical import CaseFiles
from sss_model.data.manifest import Case, Manifest, inspect_case
from sss_model.data.splits import Assignment, read_splits, write_splits
from sss_model.errors import InputError
from sss_model.files import sha256

Change = Callable[[np.ndarray], np.ndarray]


@dataclass
class Cohort:
    """A folder, its manifest and the recipe that is to be trained on it."""

    folder: Path
    manifest: Manifest
    config: Config

    def copied(self, folder: Path) -> Cohort:
        """Another one, with files of its own."""
        shutil.copytree(self.folder, folder)
        return Cohort(folder, self.manifest, self.config)

    def case(self, split: str = "train", number: int = 0) -> Case:
        """A case of one side, as the manifest has it now."""
        return self.manifest.split(split)[number]

    def edit(self, case: Case, **columns: Any) -> Case:
        """Change a row of the manifest."""
        changed = replace(case, **columns)
        self.keep(*(changed if row.case == case.case else row for row in self.manifest.cases))
        return changed

    def keep(self, *cases: Case) -> None:
        """Give the manifest these rows."""
        self.manifest = Manifest(tuple(sorted(cases, key=lambda case: case.case)), self.manifest.labels)

    def rewrite(self, case: Case, what: str, change: Change, *, zooms: float = 1.0, move_mm: float = 0.0) -> Case:
        """Change the voxels of a case's image or label, and the manifest with them.

        Args:
            what: ``image`` or ``label``.
            zooms: factor of the header's voxel size.
            move_mm: how far the header moves the scan.
        """
        path = self._path(case, what)
        stored = nib.Nifti1Image.from_filename(path)
        array, affine = change(self.voxels(case, what).copy()), stored.affine.copy()
        affine[0, 3] += move_mm
        image = nib.Nifti1Image(array, affine, stored.header, dtype=array.dtype)
        image.header.set_zooms([zoom * zooms for zoom in stored.header.get_zooms()])
        image.to_filename(path)
        return self.describe(case)

    def voxels(self, case: Case, what: str) -> np.ndarray:
        """Of a case's image or label, as they are stored."""
        return np.asanyarray(nib.Nifti1Image.from_filename(self._path(case, what)).dataobj)

    def describe(self, case: Case) -> Case:
        """Let the manifest say what the case's files are, or, where no manifest could be made of them, their hashes."""
        image, label = self._path(case, "image"), self._path(case, "label") if case.label else None
        try:
            return self.edit(case, **vars(inspect_case(CaseFiles(case.case, image, label), self.manifest.labels)))
        except InputError:
            return self.edit(case, image_sha256=sha256(image), label_sha256=sha256(label) if label else None)

    def truncate(self, case: Case, what: str) -> None:
        """Leave half a file, with its hash in the manifest."""
        path = self._path(case, what)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.describe(case)

    def unlabel(self, *cases: Case) -> Case:
        """Take away label maps; returns the last case."""
        for case in cases:
            self._path(case, "label").unlink()
            last = self.edit(case, label=None, label_sha256=None, labelled=False, voxels={})
        return last

    def add(self, case: Case, patient: str, *, labelled: bool = False) -> Case:
        """Copy a case under a new name, of the same side, to the patient given."""
        name, ending = f"{case.case}_copy", ".nii"
        order = case.label_order if patient == case.patient else None
        image = case.image.replace(f"{case.case}_0000", f"{name}_0000")
        label = str(case.label).replace(f"{case.case}{ending}", f"{name}{ending}") if labelled else None
        shutil.copyfile(self._path(case, "image"), self.folder / image)
        if label:
            shutil.copyfile(self._path(case, "label"), self.folder / label)
        place: dict[str, Any] = {
            "case": name,
            "patient": patient,
            "group": case.group,
            "split": case.split,
            "label_order": order,
        }
        write_splits([*read_splits(self.folder / "splits.csv"), Assignment(**place)], self.folder / "splits.csv")
        unlabelled: dict[str, Any] = {} if labelled else {"labelled": False, "label_sha256": None, "voxels": {}}
        added = replace(case, **place, image=image, label=label, **unlabelled)
        self.keep(*self.manifest.cases, added)
        return added

    def _path(self, case: Case, what: str) -> Path:
        return self.folder / str(getattr(case, what))


def failed_rules(cohort: Cohort) -> dict[str, list[str]]:
    """The data checks that a cohort fails: rule to its sentences."""
    from sss_ops.data_checks.judge import check_data

    outcomes = check_data(cohort.manifest, cohort.config, cohort.folder).outcomes
    return {outcome.rule.name: outcome.sentences for outcome in outcomes if outcome.sentences}
