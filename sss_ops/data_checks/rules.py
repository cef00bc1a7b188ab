"""The data checks' rules, in the order of the report.

Patients and splits, duplicates, files · geometry, intensities · labels, anatomy · enough patients to learn and to test.
A rule is one `Rule`: its SQL, if it needs any, stands above its group. Every rule has a planted fault in the tests that
it alone finds, and a row in docs/reference/data-checks.md (`python -m docs.reference` writes it).
"""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeInSet, ExpectColumnValuesToBeUnique

from sss_model.config import Config, DataChecks
from sss_model.data.splits import SPLITS
from sss_ops.data_checks.rule import Group, Rule, between, no_row_of, nothing_in, same


def rules_for(config: Config) -> list[Group]:
    """The rules that the recipe asks for; a threshold that is null switches its rule off."""
    limits = config.data_checks
    return [
        _patients_and_splits(),
        _duplicates(limits),
        _files(),
        _geometry(limits),
        _intensities(limits),
        _labels(limits),
        _anatomy(limits),
        _cohort(config),
    ]


# Patients and splits, duplicates, files

_ONE_SIDE = """
SELECT replace(group_concat(DISTINCT patient), ',', ' alias ') AS names,
  replace(group_concat(DISTINCT split), ',', ' and ') AS sides
FROM {batch} GROUP BY person HAVING count(DISTINCT split) > 1
"""
_ONE_GROUP = """
SELECT patient, replace(group_concat(DISTINCT "group"), ',', ' and ') AS names FROM {batch}
GROUP BY patient HAVING count(DISTINCT "group") > 1
"""


def _patients_and_splits() -> Group:
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


_SAME_SCAN = """
SELECT group_concat("case" || ' (' || split || ')', ' and ') AS names FROM {batch}
GROUP BY image_sha256 HAVING count(DISTINCT "case") > 1
"""
# Two label maps that draw nothing may well be the same.
_SAME_LABEL = """
SELECT group_concat("case" || ' (' || split || ')', ' and ') AS names FROM {batch}
WHERE drawn_voxels > 0 GROUP BY label_sha256 HAVING count(DISTINCT "case") > 1
"""


def _duplicates(limits: DataChecks) -> Group:
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
                "Find out whether both are one person. Remove one, or name the patients in data_checks.same_person.",
                "max_similarity",
            ),
        ),
    )


def _files() -> Group:
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


# Geometry and intensities

# Headers hold float32, and tools write rotations as quaternions: no two programs agree to the last digit.
_SPACING_TOLERANCE = 1e-3
_OFFSET_TOLERANCE = 0.05


def _geometry(limits: DataChecks) -> Group:
    regrid = "Export image and label map from the same grid, or resample the label map onto its image."
    return Group(
        "Geometry",
        (
            Rule(
                "label_shape",
                "Every label map has as many voxels along each axis as its scan",
                "cases",
                same("label_shape", "image_shape"),
                "case {case}: a label map of {label_shape} voxels on a scan of {image_shape}",
                regrid,
            ),
            Rule(
                "label_spacing",
                "Every label map has its scan's voxel size",
                "cases",
                between("spacing_error", max_value=_SPACING_TOLERANCE),
                "case {case}: a label map with voxels of {label_spacing} on a scan with {image_spacing}",
                regrid,
            ),
            Rule(
                "label_position",
                "Every label map lies in space where its scan does",
                "cases",
                between("offset_voxels", max_value=_OFFSET_TOLERANCE),
                "case {case}: the label map's header places a corner {offset_voxels:.3g} voxels away from the scan's",
                regrid,
            ),
            Rule(
                "spacing_usual",
                "Voxel sizes are alike",
                "cases",
                between("spacing_excess", max_value=1),
                "case {case}: voxels of {spacing} where {usual_spacing} is usual",
                "Check the header's voxel size and its unit; leave the scan out if it is of another kind.",
                "spacing_factor",
            ),
            Rule(
                "slices_usual",
                "Scans have about as many slices",
                "cases",
                between("slices_excess", max_value=1),
                "case {case}: cut into {slices} where {usual_slices:.0f} slices are usual",
                "Check that the scan is complete and that it is no single picture, localiser or other series.",
                "slices_factor",
            ),
        ),
    )


def _intensities(limits: DataChecks) -> Group:
    again = "Look at the scan; export it again, or leave it out."
    scale = "Check the unit and the rescaling of intensities; leave the scan out if it is of another kind."
    return Group(
        "Intensities",
        (
            Rule(
                "finite",
                "No voxel is NaN or infinite",
                "cases",
                nothing_in("not_finite"),
                "case {case}: {not_finite}",
                again,
            ),
            Rule(
                "not_flat",
                "No scan is a single tone",
                "cases",
                ExpectColumnValuesToBeInSet(column="distinct", value_set=[True]),
                "case {case}: every voxel is {low:.4g}",
                again,
            ),
            Rule(
                "not_mostly_flat",
                "No scan is nearly empty",
                "cases",
                between("flat_share", max_value=limits.max_flat_share),
                "case {case}: {flat_share:.1%} of the voxels have one and the same value",
                again,
                "max_flat_share",
            ),
            *([_no_blank_slices(limits, again)] if limits.max_blank_slices is not None else []),
            Rule(
                "contrast_usual",
                "Scans span a like range of intensities",
                "cases",
                between("contrast_excess", max_value=1),
                "case {case}: intensities from {low:.4g} to {high:.4g}, a range of {contrast:.4g} where "
                "{usual_contrast:.4g} is usual",
                scale,
                "contrast_factor",
            ),
            *([_level_usual(limits, scale)] if limits.max_level_shift is not None else []),
        ),
    )


def _no_blank_slices(limits: DataChecks, fix: str) -> Rule:
    return Rule(
        "no_blank_slices",
        "No slice is blank",
        "cases",
        between("blank_slices", max_value=limits.max_blank_slices),
        "case {case}: of {slices} slices {blank_slices:.0f} blank",
        fix,
        "max_blank_slices",
    )


def _level_usual(limits: DataChecks, fix: str) -> Rule:
    return Rule(
        "level_usual",
        "Scans are equally dark where they are darkest",
        "cases",
        between("level_shift", max_value=limits.max_level_shift),
        "case {case}: its darkest tone is {low:.4g} where {usual_low:.4g} is usual",
        fix,
        "max_level_shift",
    )


# Labels and anatomy


def _labels(limits: DataChecks) -> Group:
    redraw = "Look at scan and label map together; a label map of another scan, or one shifted or mirrored, must go."
    drawn = Rule(
        "label_draws_something",
        "Every label map draws something",
        "cases",
        between("drawn_voxels", min_value=1),
        "case {case}: the label map is empty",
        "Remove the label map: the scan is then unlabelled. Set data_checks.empty_labels where patients are healthy.",
        "empty_labels",
    )
    return Group(
        "Labels",
        (
            Rule(
                "labels_known",
                "Every labelled voxel belongs to a structure that dataset.json names",
                "cases",
                nothing_in("unknown_labels"),
                "case {case}: {unknown_labels}, of no known structure",
                "Correct the label map, or name the structure in dataset.json.",
            ),
            *([] if limits.empty_labels else [drawn]),
            *([_label_fits_image(limits, redraw)] if limits.min_fit is not None else []),
            Rule(
                "label_on_tissue",
                "Labels lie on the body, and not on empty background",
                "cases",
                between("dark_share", max_value=limits.max_dark_share),
                "case {case}: {dark_share:.0%} of the labelled voxels have the scan's lowest value",
                redraw,
                "max_dark_share",
            ),
        ),
    )


def _label_fits_image(limits: DataChecks, fix: str) -> Rule:
    return Rule(
        "label_fits_image",
        "Every label map lies on what it outlines",
        "cases",
        between("fit_ratio", min_value=limits.min_fit),
        "case {case}: where it is, the label map explains {fit_ratio:.0%} of what it would explain nearby",
        fix,
        "min_fit",
    )


def _anatomy(limits: DataChecks) -> Group:
    return Group(
        "Anatomy",
        (
            *([_structure_in_one_place(limits)] if limits.max_gap_mm is not None else []),
            Rule(
                "volume_usual",
                "Structures are about as large as in other patients",
                "structures",
                between("volume_excess", max_value=1),
                "case {case}: {structure} has {millilitres:.3g} ml where {usual_millilitres:.3g} ml is usual",
                "Look at the label map: unfinished, overflowing, or two structures swapped? Check the voxel size, too.",
                "volume_factor",
            ),
        ),
    )


def _structure_in_one_place(limits: DataChecks) -> Rule:
    return Rule(
        "structure_in_one_place",
        "Every structure is in one place",
        "structures",
        between("gap_mm", max_value=limits.max_gap_mm),
        "case {case}: {structure} has {parts:.0f} parts, the farthest {gap_mm:.0f} mm from the largest",
        "Remove stray voxels from the label map; set data_checks.max_gap_mm to null where a class is in many places.",
        "max_gap_mm",
    )


# The cohort: enough patients to learn from and to test on

_TOO_FEW = """
SELECT * FROM (
  SELECT count(DISTINCT patient) AS patients,
    coalesce(replace(group_concat(DISTINCT patient), ',', ', '), 'none') AS names FROM {{batch}}
  WHERE split = '{split}' AND labelled
) WHERE patients < {wanted}
"""
# Where nothing is labelled, the rules on patients say so.
_NOT_DRAWN = """
SELECT structure, scans FROM {{batch}}, (SELECT count(*) AS scans FROM cases WHERE {where})
WHERE scans > 0 AND structure NOT IN (
  SELECT structure FROM structures JOIN cases USING ("case") WHERE voxels > 0 AND {where}
)
"""


def _cohort(config: Config) -> Group:
    limits = config.data_checks
    labelled = max(config.data.labelled or 0, limits.min_labelled_patients)
    return Group(
        "Enough to learn and to test",
        (
            _enough(
                "enough_labelled",
                "Enough training patients have labels",
                ("train", "training", labelled),
                "Label more patients, or lower data.labelled or data_checks.min_labelled_patients in the recipe.",
                "min_labelled_patients",
            ),
            _enough(
                "enough_to_choose",
                "A patient with labels is there to choose the best model by",
                ("val", "validation", 1),
                "Move a labelled patient from train to val in splits.csv.",
            ),
            _enough(
                "enough_to_test",
                "Enough test patients have labels",
                ("test", "test", limits.min_test_patients),
                "Label more test patients, or lower data_checks.min_test_patients in the recipe.",
                "min_test_patients",
            ),
            _drawn(
                "structures_to_learn",
                "Every structure is drawn in the labelled training scans",
                ("label_used", "the labelled training scans"),
                "Raise data.labelled in the recipe, or change label_order in splits.csv.",
            ),
            _drawn(
                "structures_to_choose",
                "Every structure is drawn in the validation scans",
                ("labelled AND split = 'val'", "the validation scans"),
                "Move a patient who has the structure from train to val in splits.csv.",
            ),
            _drawn(
                "structures_to_test",
                "Every structure is drawn in the test scans",
                ("labelled AND split = 'test'", "the test scans"),
                "Move a patient who has the structure to the test set in splits.csv.",
            ),
        ),
    )


def _enough(name: str, title: str, what: tuple[str, str, int], fix: str, threshold: str = "") -> Rule:
    split, side, wanted = what
    query = _TOO_FEW.format(split=split, wanted=wanted)
    sentence = f"{side} patients with labels: {{patients}} ({{names}}); the recipe asks for {wanted}"
    return Rule(name, title, "cases", no_row_of(query), sentence, fix, threshold)


def _drawn(name: str, title: str, where: tuple[str, str], fix: str) -> Rule:
    condition, words = where
    sentence = f"{{structure}}: no voxel in {words} ({{scans}} with a label)"
    return Rule(name, title, "classes", no_row_of(_NOT_DRAWN.format(where=condition)), sentence, fix)
