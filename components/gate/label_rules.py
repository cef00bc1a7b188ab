"""What must hold of label maps, and of the anatomy that they show."""

from __future__ import annotations

from components.gate.rule import Group, Rule, between, nothing_in
from sss_model.validation_settings import Validate


def label_rules(limits: Validate) -> Group:
    """What is drawn, and on what."""
    redraw = "Look at scan and label map together; a label map of another scan, or one shifted or mirrored, must go."
    drawn = Rule(
        "label_draws_something",
        "Every label map draws something",
        "cases",
        between("drawn_voxels", min_value=1),
        "case {case}: the label map is empty",
        "Remove the label map: the scan is then unlabelled. Set validation.empty_labels where patients are healthy.",
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


def anatomy_rules(limits: Validate) -> Group:
    """Whether what is drawn can be a body's."""
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


def _label_fits_image(limits: Validate, way_out: str) -> Rule:
    return Rule(
        "label_fits_image",
        "Every label map lies on what it outlines",
        "cases",
        between("fit_ratio", min_value=limits.min_fit),
        "case {case}: where it is, the label map explains {fit_ratio:.0%} of what it would explain nearby",
        way_out,
        "min_fit",
    )


def _structure_in_one_place(limits: Validate) -> Rule:
    return Rule(
        "structure_in_one_place",
        "Every structure is in one place",
        "structures",
        between("gap_mm", max_value=limits.max_gap_mm),
        "case {case}: {structure} has {parts:.0f} parts, the farthest {gap_mm:.0f} mm from the largest",
        "Remove stray voxels from the label map; set validation.max_gap_mm to null where a class is in many places.",
        "max_gap_mm",
    )
