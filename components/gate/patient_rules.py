"""What must hold of patients, splits and files."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeInSet, ExpectColumnValuesToBeUnique

from components.gate.rule import Group, Rule, between, no_row_of, nothing_in, same
from sss_model.datasets.assignments import SPLITS
from sss_model.validation_settings import Validate

_ONE_SIDE = """
SELECT replace(group_concat(DISTINCT patient), ',', ' alias ') AS names,
  replace(group_concat(DISTINCT split), ',', ' and ') AS sides
FROM {batch} GROUP BY person HAVING count(DISTINCT split) > 1
"""
_ONE_GROUP = """
SELECT patient, replace(group_concat(DISTINCT "group"), ',', ' and ') AS names FROM {batch}
GROUP BY patient HAVING count(DISTINCT "group") > 1
"""
_SAME_SCAN = """
SELECT group_concat("case" || ' (' || split || ')', ' and ') AS names FROM {batch}
GROUP BY image_sha256 HAVING count(DISTINCT "case") > 1
"""
# Two label maps that draw nothing may well be the same.
_SAME_LABEL = """
SELECT group_concat("case" || ' (' || split || ')', ' and ') AS names FROM {batch}
WHERE drawn_voxels > 0 GROUP BY label_sha256 HAVING count(DISTINCT "case") > 1
"""


def patient_rules() -> Group:
    """Who is where."""
    return Group(
        "Patients and splits",
        (
            Rule(
                "patient_on_one_side",
                "Every patient is on one side only: training, validation or test",
                "cases",
                no_row_of(_ONE_SIDE),
                "patient {names} is in {sides}",
                "Give all scans of the patient the same split in splits.csv.",
                "same_person",
            ),
            Rule(
                "patient_in_one_group",
                "Every patient belongs to one group",
                "cases",
                no_row_of(_ONE_GROUP),
                "patient {patient} is in the groups {names}",
                "Correct the group in splits.csv.",
            ),
            Rule(
                "case_named_once",
                "Every case has a name of its own",
                "cases",
                ExpectColumnValuesToBeUnique(column="case"),
                "case {case} of patient {patient} shares its name with another",
                "Run the step version-data again: the manifest was edited.",
            ),
            Rule(
                "split_known",
                "Every case is for training, validation or test",
                "cases",
                ExpectColumnValuesToBeInSet(column="split", value_set=list(SPLITS)),
                "case {case} has the split {split}",
                "Run the step version-data again: the manifest was edited.",
            ),
        ),
    )


def duplicate_rules(limits: Validate) -> Group:
    """What is there twice."""
    return Group(
        "Duplicates",
        (
            Rule(
                "scan_there_once",
                "No scan is there twice under different names",
                "cases",
                no_row_of(_SAME_SCAN),
                "{names} are the same scan",
                "Remove the copies, or find out which patient the scan belongs to.",
            ),
            Rule(
                "label_there_once",
                "No label map belongs to two scans",
                "cases",
                no_row_of(_SAME_LABEL),
                "{names} have the same label map",
                "Find out which scan the label map was drawn on, and remove the other one.",
            ),
            Rule(
                "patients_differ",
                "No two patients' scans are one scan, resampled or exported anew",
                "cases",
                between("similarity", max_value=limits.max_similarity),
                "case {case} (patient {patient}, {split}) looks like {twin}: correlation {similarity:.3f}",
                "Find out whether both are one person. Remove one, or name the patients in validation.same_person.",
                "max_similarity",
            ),
        ),
    )


def file_rules() -> Group:
    """Whether the files are what the manifest says."""
    again = "Run the step version-data again."
    replace = "Export or copy the file again; leave the case out if that doesn't help."
    return Group(
        "Files",
        (
            Rule(
                "folder_is_a_data_set",
                "The folder is a data set in the canonical layout",
                "folder",
                nothing_in("problem"),
                "{problem}",
                "Import the scans again with sss import.",
            ),
            Rule(
                "folder_as_listed",
                "Folder and manifest name the same cases",
                "listings",
                nothing_in("only_in"),
                "case {case}: only in {only_in}",
                again,
            ),
            Rule(
                "splits_as_listed",
                "The manifest repeats splits.csv",
                "listings",
                same("row", "manifest_row"),
                "case {case}: splits.csv says {row}, the manifest {manifest_row}",
                again,
            ),
            Rule(
                "files_there",
                "Every file that the manifest names is there",
                "cases",
                nothing_in("missing"),
                "case {case}: {missing} is missing",
                "Bring the file back (dvc pull), or run the step version-data again without it.",
            ),
            Rule(
                "files_unchanged",
                "Every file's bytes are those that the manifest was made of",
                "cases",
                nothing_in("changed"),
                "case {case}: {changed} changed since",
                again,
            ),
            Rule(
                "manifest_true",
                "The manifest describes what is in the files",
                "cases",
                same("manifest_says", "files_say"),
                "case {case}: the manifest says {manifest_says}; the files, {files_say}",
                again,
            ),
            Rule(
                "image_readable",
                "Every scan can be read and is whole",
                "cases",
                nothing_in("image_unreadable"),
                "case {case}: {image_unreadable}",
                replace,
            ),
            Rule(
                "label_readable",
                "Every label map can be read, is whole and holds whole numbers",
                "cases",
                nothing_in("label_unreadable"),
                "case {case}: {label_unreadable}",
                replace,
            ),
        ),
    )
