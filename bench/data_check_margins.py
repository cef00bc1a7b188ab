"""Margins of the data checks: how far a good cohort stays from the thresholds, and how copies and shifts measure.

python -m bench.data_check_margins --data data/acdc --recipe configs/cpu/acdc.yaml
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from sss_ops.command_line import run_command

if TYPE_CHECKING:
    from sss_model.data.canonical import CaseFiles
    from sss_model.data.screening import CaseMeasurements
    from sss_model.io.volumes import Volume


_SHIFTS = (6, 8)  # pixels
_ROBUST = 1.4826  # standard deviations of a normal distribution per median absolute deviation

Change = Callable[[np.ndarray], np.ndarray]


def command(
    data: Annotated[Path, typer.Option(help="Data set in the canonical layout.")] = Path("data/acdc"),
    recipe: Annotated[Path, typer.Option(help="Whose data_checks.same_person counts.")] = Path("configs/cpu/acdc.yaml"),
) -> None:
    """Print the most extreme values of a cohort, and how the same scan and a shifted label map measure.

    Example: python -m bench.data_check_margins --data data/phantom --recipe configs/phantom.yaml
    """
    from sss_model.config import load_config
    from sss_model.data.canonical import open_dataset
    from sss_model.data.manifest import build_manifest
    from sss_model.data.screening import measure_cases
    from sss_model.parallel import for_each

    manifest, config = build_manifest(data), load_config(recipe)
    facts = measure_cases(manifest, data)
    names = config.data_checks.same_person
    persons = [next((same[0] for same in names if case.patient in same), case.patient) for case in manifest.cases]
    patients = [case.patient for case in manifest.cases]
    found = {"volumes": len(facts), **_extremes(facts, persons, patients, [case.slices for case in manifest.cases])}
    spoilt = for_each(_spoil, open_dataset(data).cases, description="Spoiling copies")
    found |= _of_copies(spoilt)
    print("| measure | value |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.3g} |" if isinstance(value, float) else f"| {name} | {value} |")
    print(json.dumps({name: round(value, 4) for name, value in found.items()}))


def _extremes(
    facts: Sequence[CaseMeasurements], persons: Sequence[str], patients: Sequence[str], slices: Sequence[int]
) -> dict[str, float]:
    from sss_model.data.screening import most_similar

    thumbnails = [fact.thumbnail for fact in facts if fact.thumbnail is not None]
    alignments = [fact.alignment for fact in facts if fact.alignment]
    looks = [fact.intensities for fact in facts if fact.intensities]
    structures = [one for fact in facts for one in fact.structures]
    by_class = {
        name: [one.millilitres for one in structures if one.name == name] for name in {s.name for s in structures}
    }
    volume = max((_farthest(values) for values in by_class.values()), default=(1.0, 0.0))
    contrast, depth = _farthest([look.high - look.low for look in looks]), _farthest(slices)
    return {
        "correlation of two persons' thumbnails, highest": _highest(most_similar(thumbnails, persons)),
        "the same, of two patients' names": _highest(most_similar(thumbnails, patients)),
        "the label's fit, lowest": min(one.fit_ratio for one in alignments if one.fit_ratio is not None),
        "the label's fit, median": float(np.median([one.fit_ratio for one in alignments if one.fit_ratio is not None])),
        "gap between parts of a structure, mm, largest": max(one.gap_mm for one in structures),
        "a structure's volume, times or one over the usual, farthest": volume[0],
        "its deviations": volume[1],
        "contrast, times or one over the usual, farthest": contrast[0],
        "its deviations ": contrast[1],
        "slices, times or one over the usual, farthest": depth[0],
        "share of voxels of one value, largest": max(look.flat_share for look in looks),
        "labelled voxels of the scan's lowest value, share, largest": max(one.dark_share for one in alignments),
    }


def _highest(twins: Sequence[Any]) -> float:
    return max(twin.similarity for twin in twins if twin)


def _farthest(values: Sequence[float]) -> tuple[float, float]:
    """From the median: the factor, and robust standard deviations of the logarithm; infinite where all else agree."""
    logarithms = np.log(np.asarray(values, float))
    distance = np.abs(logarithms - np.median(logarithms))
    spread = _ROBUST * float(np.median(distance))
    return float(np.exp(distance.max())), float(distance.max() / spread) if spread else float("inf")


def _resized(array: np.ndarray, factors: tuple[float, float, float]) -> np.ndarray:
    from scipy.ndimage import zoom

    return zoom(array, factors, order=1)


def _noisy(array: np.ndarray) -> np.ndarray:
    low, high = np.percentile(array, (1, 99))
    return array + np.random.default_rng(0).normal(0, 0.05 * (high - low), array.shape)


CHANGES: dict[str, Change] = {
    "0.6 times the resolution": partial(_resized, factors=(0.6, 0.6, 1)),
    "1.5 times the resolution": partial(_resized, factors=(1.5, 1.5, 1)),
    "half the slices": partial(_resized, factors=(1, 1, 0.5)),
    "1.6 times the slices": partial(_resized, factors=(1, 1, 1.6)),
    "brighter": lambda array: array * 3.1 - 200,
    "gamma 0.5": lambda array: np.sqrt(np.maximum(array, 0)),
    "noise of 5 % of its contrast": _noisy,
}
"""What makes another file of the same scan; of (columns, rows, slices)."""


def _spoil(files: CaseFiles) -> dict[str, float]:
    """Correlations of a scan with itself, changed; the fit of its label map, shifted, at the best of four ways."""
    from sss_model.data.screening import thumbnail
    from sss_model.io.volumes import read_label, read_volume

    image = read_volume(files.image)
    image = replace(image, array=image.array.astype(np.float32))
    small = thumbnail(image)
    found = {
        f"again, {name}": float((thumbnail(_changed(image, change)) * small).sum()) for name, change in CHANGES.items()
    }
    if files.label:
        label = read_label(files.label)
        found |= {f"shift of {pixels} pixels": _best_fit(image, label, pixels) for pixels in _SHIFTS}
    return found


def _changed(image: Volume, change: Change) -> Volume:
    # The slices may be any of the array's axes; the changes are of the last.
    turned = np.moveaxis(image.array, image.slice_axis, -1)
    return replace(image, array=np.moveaxis(change(turned).astype(np.float32), -1, image.slice_axis))


def _best_fit(image: Volume, label: Volume, pixels: int) -> float:
    from sss_model.data.screening import measure_alignment

    within = [axis for axis in range(3) if axis != image.slice_axis]
    moved = (label.like(np.roll(label.array, way * pixels, axis)) for axis in within for way in (-1, 1))
    measured = [found.fit_ratio for one in moved if (found := measure_alignment(image, one)) is not None]
    return max((ratio for ratio in measured if ratio is not None), default=float("nan"))


def _of_copies(spoilt: Sequence[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in CHANGES:
        found[f"correlation of a scan with itself, {name}, lowest"] = min(one[f"again, {name}"] for one in spoilt)
    for pixels in _SHIFTS:
        ratios = [one[key] for one in spoilt if (key := f"shift of {pixels} pixels") in one]
        found[f"the label's fit, shifted by {pixels} pixels, median"] = float(np.nanmedian(ratios))
        found[f"the label's fit, shifted by {pixels} pixels, highest"] = float(np.nanmax(ratios))
    return found


if __name__ == "__main__":
    run_command(command)
