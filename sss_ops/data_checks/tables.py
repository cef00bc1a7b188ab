"""The evidence as pandas tables, which Great Expectations checks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from sss_model.data.manifest import Case, Manifest
from sss_model.data.screening import CaseMeasurements, most_similar
from sss_model.io.volumes import SourceGrid
from sss_ops.data_checks.evidence import DataEvidence

_ROBUST = 1.4826
"""Standard deviations per median absolute deviation of a normal distribution."""


def make_tables(evidence: DataEvidence) -> dict[str, pd.DataFrame]:
    """Make one table per subject.

    Returns:
        ``cases``, a row per case; ``structures``, per labelled case and class; ``classes``, per class; ``listings``,
        per case of folder or manifest; ``folder``, a single row.
    """
    return {
        "cases": _cases(evidence),
        "structures": _structures(evidence),
        "classes": pd.DataFrame({"structure": list(evidence.manifest.labels)[1:]}, dtype=object),
        "listings": pd.DataFrame(
            [vars(listing) for listing in evidence.listings],
            columns=["case", "only_in", "row", "manifest_row"],
            dtype=object,
        ),
        "folder": pd.DataFrame({"problem": [evidence.folder_problem]}, dtype=object),
    }


def _cases(evidence: DataEvidence) -> pd.DataFrame:
    used = {case.case for case in evidence.used_labels}
    rows = [
        {
            **_manifest_columns(case),
            "person": evidence.person(case.patient),
            "label_used": case.case in used,
            **_file_columns(case, measured),
            **_geometry_columns(measured),
            **_intensity_columns(measured),
            **_label_columns(case, measured, evidence.manifest),
        }
        for case, measured in zip(evidence.manifest.cases, evidence.measurements, strict=True)
    ]
    table = pd.DataFrame(rows)
    _compare_with_cohort(table, evidence)
    _find_twins(table, evidence)
    return table


def _manifest_columns(case: Case) -> dict[str, Any]:
    return {
        "case": case.case,
        "patient": case.patient,
        "group": case.group,
        "split": case.split,
        "labelled": case.labelled,
        "image_sha256": case.image_sha256,
        "label_sha256": case.label_sha256,
        "slices": case.slices,
        "spacing": _millimetres(case.spacing_mm),
        "drawn_voxels": sum(list(case.voxels.values())[1:]) if case.labelled else None,
    }


def _file_columns(case: Case, measured: CaseMeasurements) -> dict[str, Any]:
    files = [(case.image, measured.image), (case.label, measured.label)]
    return {
        "missing": _joined(name for name, file in files if file and file.missing),
        "changed": _joined(name for name, file in files if file and file.changed),
        "image_unreadable": measured.image.unreadable,
        "label_unreadable": measured.label.unreadable if measured.label else None,
        "not_finite": _joined(file.not_finite for _, file in files if file and file.not_finite),
    }


def _geometry_columns(measured: CaseMeasurements) -> dict[str, Any]:
    """Grids of image and label map; None where a file can't be read, and beyond the shapes where shapes differ."""
    image = measured.image.grid
    label = measured.label.grid if measured.label else None
    alike = image is not None and label is not None and image.shape == label.shape
    return {
        "image_shape": _shape_text(image.shape) if image else None,
        "label_shape": _shape_text(label.shape) if label else None,
        "image_spacing": _millimetres(image.spacing) if image else None,
        "label_spacing": _millimetres(label.spacing) if label else None,
        "spacing_error": _spacing_error(image, label) if alike and image and label else None,
        "offset_voxels": _offset(image, label) if alike and image and label else None,
    }


def _shape_text(shape: Iterable[int]) -> str:
    """Such as 256x216x10."""
    return "x".join(str(size) for size in shape)


def _millimetres(spacing: Iterable[float]) -> str:
    """Voxel size, the finest axis first, whichever it is in the file."""
    return " × ".join(f"{round(float(value), 2):g}" for value in sorted(spacing)) + " mm"


def _spacing_error(image: SourceGrid, label: SourceGrid) -> float:
    """The largest difference between their voxel sizes, relative to the image's."""
    return float(np.max(np.abs(np.array(label.spacing) / image.spacing - 1)))


def _offset(image: SourceGrid, label: SourceGrid) -> float:
    """Largest distance between the corners of the scan by the two headers, in voxels of the image.

    Where an affine carries the voxel size, a wrong one moves corners, too; `_spacing_error` counts that, so the label's
    voxel size is set to the image's first.
    """
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in image.shape))], float).T
    scale = np.append(np.array(image.spacing) / label.spacing, 1.0)
    places = image.affine @ corners
    moved = label.affine @ (corners * (scale[:, None] if _carries_spacing(label) else 1.0))
    voxel = np.linalg.norm(image.affine[:3, :3], axis=0).min()
    return float(np.linalg.norm((places - moved)[:3], axis=0).max() / voxel)


def _carries_spacing(grid: SourceGrid) -> bool:
    return bool(np.allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), grid.spacing, rtol=1e-2))


def _intensity_columns(measured: CaseMeasurements) -> dict[str, Any]:
    found = measured.intensities
    if found is None:
        return dict.fromkeys(("low", "high", "contrast", "distinct", "flat_share", "blank_slices"))
    contrast = found.high - found.low
    return {
        "low": found.low,
        "high": found.high,
        "contrast": contrast if contrast > 0 else None,
        "distinct": found.distinct,
        # A scan without contrast fails another rule.
        "flat_share": found.flat_share if found.distinct else None,
        "blank_slices": found.blank_slices if found.distinct else None,
    }


def _label_columns(case: Case, measured: CaseMeasurements, manifest: Manifest) -> dict[str, Any]:
    known = set(manifest.labels.values())
    unknown = {value: count for value, count in (measured.voxels or {}).items() if value not in known}
    return {
        "unknown_labels": _joined(f"{count} voxels of value {value}" for value, count in unknown.items()),
        **_alignment_columns(measured),
        "manifest_says": _description(case.shape, case.spacing_mm, case.voxels),
        "files_say": _files_say(measured, manifest),
    }


def _alignment_columns(measured: CaseMeasurements) -> dict[str, Any]:
    found = measured.alignment if measured.intensities and measured.intensities.distinct else None
    return {"fit_ratio": found.fit_ratio if found else None, "dark_share": found.dark_share if found else None}


def _files_say(measured: CaseMeasurements, manifest: Manifest) -> str | None:
    """The manifest's description if made today; None where it could not be made, which other rules report."""
    image, label = measured.image.grid, measured.label.grid if measured.label else None
    if image is None or (measured.label and (label is None or label.shape != image.shape)):
        return None
    counts = measured.voxels or {}
    if not counts.keys() <= set(manifest.labels.values()):
        return None
    voxels = {name: counts.get(value, 0) for name, value in manifest.labels.items()} if measured.label else {}
    return _description(image.shape, image.spacing, voxels)


def _description(shape: Sequence[int], spacing: Sequence[float], voxels: dict[str, int]) -> str:
    drawn = _joined(f"{count} of {name}" for name, count in voxels.items())
    return f"{_shape_text(shape)} voxels of {'x'.join(f'{value:.4g}' for value in spacing)} mm, {drawn or 'no label'}"


def _compare_with_cohort(table: pd.DataFrame, evidence: DataEvidence) -> None:
    limits = evidence.config.data_checks
    # Sorted, so that in-plane is compared with in-plane however a scan is stored.
    spacing = np.array([sorted(case.spacing_mm) for case in evidence.manifest.cases])
    slices, contrast, low = (table[name].to_numpy(float) for name in ("slices", "contrast", "low"))
    for name, values, factor in (
        ("spacing_excess", spacing, limits.spacing_factor),
        ("slices_excess", slices, limits.slices_factor),
        ("contrast_excess", contrast, limits.contrast_factor),
    ):
        table[name] = excess(values, factor=factor, deviations=limits.deviations)
    usual_contrast, usual_low = _median(contrast), _median(low)
    table["level_shift"] = np.abs(low - usual_low) / usual_contrast
    table["usual_spacing"] = _millimetres(np.exp(np.median(np.log(spacing), axis=0)))
    table["usual_slices"], table["usual_contrast"], table["usual_low"] = _median(slices), usual_contrast, usual_low


def _find_twins(table: pd.DataFrame, evidence: DataEvidence) -> None:
    seen = [index for index, measured in enumerate(evidence.measurements) if measured.thumbnail is not None]
    thumbnails = [measured.thumbnail for measured in evidence.measurements if measured.thumbnail is not None]
    twins = most_similar(thumbnails, [table["person"][index] for index in seen])
    copied = _copied(table)
    found = {}
    for index, twin in zip(seen, twins, strict=True):
        if twin and frozenset(table["person"][[index, seen[twin.index]]]) not in copied:
            found[index] = (table["case"][seen[twin.index]], twin.similarity)
    table["twin"] = [found.get(index, (None, None))[0] for index in table.index]
    table["similarity"] = [found.get(index, (None, None))[1] for index in table.index]


def _copied(table: pd.DataFrame) -> set[frozenset[str]]:
    """Pairs of persons with identical files, which another rule reports."""
    same = table.merge(table, on="image_sha256")
    return {frozenset(pair) for pair in zip(same["person_x"], same["person_y"], strict=True)}


def _structures(evidence: DataEvidence) -> pd.DataFrame:
    """Labelled structures by the manifest, measured where the label could be read."""
    rows = []
    for case, measured in zip(evidence.manifest.cases, evidence.measurements, strict=True):
        by_name = {structure.name: vars(structure) for structure in measured.structures}
        rows += [
            {"case": case.case, "structure": name, "voxels": voxels, **_without_name(by_name.get(name))}
            for name, voxels in list(case.voxels.items())[1:]
        ]
    table = pd.DataFrame(rows, columns=["case", "structure", "voxels", "millilitres", "parts", "gap_mm"])
    table["volume_excess"] = table["usual_millilitres"] = np.nan
    for _, same in table.groupby("structure"):
        millilitres = same["millilitres"].to_numpy(float)
        limits = evidence.config.data_checks
        table.loc[same.index, "volume_excess"] = excess(
            millilitres, factor=limits.volume_factor, deviations=limits.deviations
        )
        table.loc[same.index, "usual_millilitres"] = _median(millilitres)
    return table


def _without_name(measured: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (measured or {}).items() if key != "name"}


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


def _joined(words: Iterable[str | None]) -> str | None:
    return " and ".join(word for word in words if word) or None


def excess(values: np.ndarray, *, factor: float, deviations: float) -> np.ndarray:
    """Each value's distance from the cohort's median over the largest allowed one: above 1 is an outlier.

    Allowed is `factor` times the median or one `factor`-th of it, or, where the cohort itself varies more, `deviations`
    robust standard deviations of the logarithm: this catches wrong units and swapped headers, not variety.

    >>> excess(np.array([10.0, 12.0, 11.0, 110.0]), factor=2, deviations=4).round(2).tolist()
    [0.2, 0.06, 0.06, 3.26]

    Args:
        values: (n,) or (n, k), positive; NaN where there is none.
        factor: greater than 1.

    Returns:
        (n,), of k values the farthest; NaN where all are.
    """
    logarithms = np.log(values.reshape(len(values), -1))
    distance = np.abs(logarithms - _median_of(logarithms))
    allowed = np.maximum(math.log(factor), deviations * _ROBUST * _median_of(distance))
    return np.fmax.reduce(distance / allowed, axis=1)


def _median_of(values: np.ndarray) -> np.ndarray:
    """The median of each column without NaN, 0 for a column that has nothing else."""
    some = ~np.isnan(values).all(axis=0)
    usual = np.zeros(values.shape[1])
    usual[some] = np.nanmedian(values[:, some], axis=0)
    return usual
