"""The thresholds of the data gate: what is far outside a cohort, and how many patients are enough."""

from __future__ import annotations

from pydantic import Field, field_validator

from sss_model.section import Section


class Validate(Section):
    """Thresholds of the data gate; null switches a check off where it can be null. ``docs/validation.md`` has the
    checks, and what was measured to choose these values."""

    min_labelled_patients: int = Field(ge=1)
    min_test_patients: int = Field(ge=1)
    same_person: tuple[tuple[str, ...], ...] = ()
    """Patients known to be one person under several names, say ``[[patient074, patient076]]``: they may then look
    alike, and must be on one side of the split."""
    max_similarity: float = Field(default=0.75, gt=0, le=1)
    """Correlation of two scans' thumbnails from which they are taken for one scan."""
    deviations: float = Field(default=6.0, gt=0)
    """Robust standard deviations, of a logarithm, beyond which a value is far outside its cohort; at least, though, the
    factor of the value's own below."""
    spacing_factor: float = Field(default=4.0, gt=1)
    """Of the usual voxel size."""
    slices_factor: float = Field(default=4.0, gt=1)
    """Of the usual number of slices."""
    contrast_factor: float = Field(default=8.0, gt=1)
    """Of the usual range of intensities."""
    volume_factor: float = Field(default=12.0, gt=1)
    """Of a structure's usual volume."""
    max_level_shift: float | None = Field(default=0.5, gt=0)
    """How far a scan's darkest tone may be from the usual one, in usual ranges of intensities."""
    max_flat_share: float = Field(default=0.9, gt=0, le=1)
    """Share of a scan's voxels that may have one and the same value."""
    max_blank_slices: int | None = Field(default=0, ge=0)
    """Slices of a scan that may have nothing on them."""
    max_dark_share: float = Field(default=0.1, gt=0, le=1)
    """Share of a scan's labelled voxels that may have the scan's lowest value."""
    min_fit: float | None = Field(default=0.8, gt=0, le=1)
    """How well a label map explains its scan where it is, over how well it would nearby."""
    max_gap_mm: float | None = Field(default=20.0, ge=0)
    """Between the largest part of a structure and its farthest; null where a class may be in many places."""
    empty_labels: bool = False
    """Whether a label map may be empty, as for a patient without the disease."""

    @field_validator("same_person")
    @classmethod
    def _two_or_more(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        names = [name for group in groups for name in group]
        if any(len(group) < 2 for group in groups) or len(set(names)) < len(names):
            raise ValueError("each entry must name two or more patients, and each patient once")
        return groups
