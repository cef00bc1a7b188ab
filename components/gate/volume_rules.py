"""What must hold of scans: their geometry and their intensities."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeInSet

from components.gate.rule import Group, Rule, between, nothing_in, same
from sss_model.validation_settings import Validate

# Headers hold float32, and tools write rotations as quaternions: no two programs agree to the last digit.
_SPACING_TOLERANCE = 1e-3
_OFFSET_TOLERANCE = 0.05


def geometry_rules(limits: Validate) -> Group:
    """Where voxels are, and how large."""
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


def intensity_rules(limits: Validate) -> Group:
    """How bright voxels are."""
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


def _no_blank_slices(limits: Validate, way_out: str) -> Rule:
    return Rule(
        "no_blank_slices",
        "No slice is blank",
        "cases",
        between("blank_slices", max_value=limits.max_blank_slices),
        "case {case}: of {slices} slices {blank_slices:.0f} blank",
        way_out,
        "max_blank_slices",
    )


def _level_usual(limits: Validate, way_out: str) -> Rule:
    return Rule(
        "level_usual",
        "Scans are equally dark where they are darkest",
        "cases",
        between("level_shift", max_value=limits.max_level_shift),
        "case {case}: its darkest tone is {low:.4g} where {usual_low:.4g} is usual",
        way_out,
        "max_level_shift",
    )
