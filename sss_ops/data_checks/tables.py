"""The evidence as tables, which is what Great Expectations reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from sss_model.data.manifest import Case, Manifest
from sss_model.data.screening import CaseFacts, most_alike
from sss_model.io.volumes import Source
from sss_ops.data_checks.evidence import Evidence

# What lies far outside its cohort.


# Of a normal distribution: standard deviations per median absolute deviation.
_ROBUST = 1.4826


def excess(values: np.ndarray, *, factor: float, deviations: float) -> np.ndarray:
    """How far each value is from the cohort's median, as a multiple of what is allowed: above 1 it is far outside.

    Allowed is `factor` times the median or one `factor`-th of it, or, where the cohort itself varies more, `deviations`
    robust standard deviations of the logarithm: wrong units and swapped headers are caught, variety is not.

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


# A case's grids, side by side: the image's and the label map's.


def geometry_columns(facts: CaseFacts) -> dict[str, Any]:
    """Of the table of cases; None where a file can't be read or, but for the shapes, where shapes differ already."""
    image = facts.image.grid
    label = facts.label.grid if facts.label else None
    alike = image is not None and label is not None and image.shape == label.shape
    return {
        "image_shape": shape_text(image.shape) if image else None,
        "label_shape": shape_text(label.shape) if label else None,
        "image_spacing": millimetres(image.spacing) if image else None,
        "label_spacing": millimetres(label.spacing) if label else None,
        "spacing_error": _spacing_error(image, label) if alike and image and label else None,
        "offset_voxels": _offset(image, label) if alike and image and label else None,
    }


def shape_text(shape: Iterable[int]) -> str:
    """As people write it: 256x216x10."""
    return "x".join(str(size) for size in shape)


def millimetres(spacing: Iterable[float]) -> str:
    """The finest axis first, whichever it is in the file."""
    return " × ".join(f"{round(float(value), 2):g}" for value in sorted(spacing)) + " mm"


def _spacing_error(image: Source, label: Source) -> float:
    """The largest difference between their voxel sizes, relative to the image's."""
    return float(np.max(np.abs(np.array(label.spacing) / image.spacing - 1)))


def _offset(image: Source, label: Source) -> float:
    """How far apart their headers place a corner of the scan, at most, in voxels of the image.

    Affines alone are compared: where they carry a voxel size, a wrong one moves corners, too; that is counted once, as
    a wrong voxel size, so the label's is set to the image's first.
    """
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in image.shape))], float).T
    scale = np.append(np.array(image.spacing) / label.spacing, 1.0)
    places = image.affine @ corners
    moved = label.affine @ (corners * (scale[:, None] if _carries_spacing(label) else 1.0))
    voxel = np.linalg.norm(image.affine[:3, :3], axis=0).min()
    return float(np.linalg.norm((places - moved)[:3], axis=0).max() / voxel)


def _carries_spacing(grid: Source) -> bool:
    return bool(np.allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), grid.spacing, rtol=1e-2))


def make_tables(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """One table a subject.

    Returns:
        ``cases``, a row a case; ``structures``, a row a labelled case and class; ``classes``, a row a class;
        ``listings``, a row a case of folder or manifest; ``folder``, a single row.
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


def _cases(evidence: Evidence) -> pd.DataFrame:
    lenders = {case.case for case in evidence.lenders}
    rows = [
        {
            **_manifest_columns(case),
            "person": evidence.person(case.patient),
            "lends": case.case in lenders,
            **_file_columns(case, facts),
            **geometry_columns(facts),
            **_intensity_columns(facts),
            **_label_columns(case, facts, evidence.manifest),
        }
        for case, facts in zip(evidence.manifest.cases, evidence.facts, strict=True)
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
        "spacing": millimetres(case.spacing_mm),
        "drawn_voxels": sum(list(case.voxels.values())[1:]) if case.labelled else None,
    }


def _file_columns(case: Case, facts: CaseFacts) -> dict[str, Any]:
    files = [(case.image, facts.image), (case.label, facts.label)]
    return {
        "missing": _joined(name for name, file in files if file and file.missing),
        "changed": _joined(name for name, file in files if file and file.changed),
        "image_unreadable": facts.image.unreadable,
        "label_unreadable": facts.label.unreadable if facts.label else None,
        "not_finite": _joined(file.not_finite for _, file in files if file and file.not_finite),
    }


def _intensity_columns(facts: CaseFacts) -> dict[str, Any]:
    found = facts.intensities
    if found is None:
        return dict.fromkeys(("low", "high", "contrast", "distinct", "flat_share", "blank_slices"))
    contrast = found.high - found.low
    return {
        "low": found.low,
        "high": found.high,
        "contrast": contrast if contrast > 0 else None,
        "distinct": found.distinct,
        # A scan without any contrast is another rule's, and says nothing to these.
        "flat_share": found.flat_share if found.distinct else None,
        "blank_slices": found.blank_slices if found.distinct else None,
    }


def _label_columns(case: Case, facts: CaseFacts, manifest: Manifest) -> dict[str, Any]:
    known = set(manifest.labels.values())
    unknown = {value: count for value, count in (facts.voxels or {}).items() if value not in known}
    return {
        "unknown_labels": _joined(f"{count} voxels of value {value}" for value, count in unknown.items()),
        **_alignment_columns(facts),
        "manifest_says": _description(case.shape, case.spacing_mm, case.voxels),
        "files_say": _files_say(facts, manifest),
    }


def _alignment_columns(facts: CaseFacts) -> dict[str, Any]:
    found = facts.alignment if facts.intensities and facts.intensities.distinct else None
    return {"fit_ratio": found.fit_ratio if found else None, "dark_share": found.dark_share if found else None}


def _files_say(facts: CaseFacts, manifest: Manifest) -> str | None:
    """What a manifest made today would say; None where it could not be made, which is other rules' to name."""
    image, label = facts.image.grid, facts.label.grid if facts.label else None
    if image is None or (facts.label and (label is None or label.shape != image.shape)):
        return None
    counts = facts.voxels or {}
    if not counts.keys() <= set(manifest.labels.values()):
        return None
    voxels = {name: counts.get(value, 0) for name, value in manifest.labels.items()} if facts.label else {}
    return _description(image.shape, image.spacing, voxels)


def _description(shape: Sequence[int], spacing: Sequence[float], voxels: dict[str, int]) -> str:
    drawn = _joined(f"{count} of {name}" for name, count in voxels.items())
    return f"{shape_text(shape)} voxels of {'x'.join(f'{value:.4g}' for value in spacing)} mm, {drawn or 'no label'}"


def _compare_with_cohort(table: pd.DataFrame, evidence: Evidence) -> None:
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
    table["usual_spacing"] = millimetres(np.exp(np.median(np.log(spacing), axis=0)))
    table["usual_slices"], table["usual_contrast"], table["usual_low"] = _median(slices), usual_contrast, usual_low


def _find_twins(table: pd.DataFrame, evidence: Evidence) -> None:
    seen = [index for index, facts in enumerate(evidence.facts) if facts.thumbnail is not None]
    thumbnails = [facts.thumbnail for facts in evidence.facts if facts.thumbnail is not None]
    twins = most_alike(thumbnails, [table["person"][index] for index in seen])
    copied = _copied(table)
    found = {}
    for index, twin in zip(seen, twins, strict=True):
        if twin and frozenset(table["person"][[index, seen[twin.index]]]) not in copied:
            found[index] = (table["case"][seen[twin.index]], twin.similarity)
    table["twin"] = [found.get(index, (None, None))[0] for index in table.index]
    table["similarity"] = [found.get(index, (None, None))[1] for index in table.index]


def _copied(table: pd.DataFrame) -> set[frozenset[str]]:
    """Pairs of persons who have a scan in common, byte for byte: another rule's, which names the copies."""
    same = table.merge(table, on="image_sha256")
    return {frozenset(pair) for pair in zip(same["person_x"], same["person_y"], strict=True)}


def _structures(evidence: Evidence) -> pd.DataFrame:
    """What the manifest says is drawn, with what was measured of it where the label could be read."""
    rows = []
    for case, facts in zip(evidence.manifest.cases, evidence.facts, strict=True):
        measured = {structure.name: vars(structure) for structure in facts.structures}
        rows += [
            {"case": case.case, "structure": name, "voxels": voxels, **_without_name(measured.get(name))}
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
