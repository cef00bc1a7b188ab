"""Evaluation: predict the cases of a split that the checkpoint never saw, score them and report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sss_model.checkpoint import Meta, load_checkpoint
from sss_model.config import Evaluation
from sss_model.data.manifest import Case, Manifest, check_content, manifest_bytes
from sss_model.evaluation.calibration import (
    BINS,
    count_reliability,
    expected_calibration_error,
    near_structures,
    write_reliability,
)
from sss_model.evaluation.confusion import count_confusion, write_confusion
from sss_model.evaluation.leaks import check_evaluable, leak_check
from sss_model.evaluation.metrics import Score, score_case
from sss_model.evaluation.overlays import draw_overlay
from sss_model.evaluation.provenance import Provenance, hash_files, short_form, write_provenance
from sss_model.evaluation.report import write_report
from sss_model.evaluation.summary import SUMMARY_FILE, aggregate, main_figures
from sss_model.evaluation.tables import summary_bytes, write_ejection, write_per_class, write_scores
from sss_model.evaluation.volumetry import ejection_fractions
from sss_model.files import write_atomically
from sss_model.inference.predictor import Predictor, Segmentation
from sss_model.io.formats import ending_of
from sss_model.io.volumes import Volume, read_pair, write_volume
from sss_model.progress import ProgressBar


def evaluate(
    checkpoint: Path,
    *,
    data_dir: Path,
    manifest: Manifest,
    split: str = "test",
    output: Path,
    predictions: Path,
    metrics: Path,
    settings: Evaluation | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint on one side of the split.

    Args:
        checkpoint: its folder.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        split: test, or val to decide between recipes.
        output: folder for ``summary.json``, ``cases.csv``, ``per_class.csv``, ``ejection.csv``, ``confusion.csv``,
            ``calibration.csv``, ``report.html``, ``overlays/CASE.png`` and ``provenance.json``.
        predictions: folder for the masks, each on its image's own grid.
        metrics: where ``metrics.json`` goes, last: the main figures alone.
        settings: what to measure; None is what the checkpoint's recipe says.

    Returns:
        The content of ``summary.json``: see `sss_model.evaluation.summary.aggregate`; and the split, what was measured
        how, the calibration and the hashes of weights, predictions and ``cases.csv``.

    Raises:
        InputError: a patient or an image of the split was seen in training (or, for test, in choosing the weights); the
            checkpoint's classes are not the data's; a case has no label or other content than the manifest says; the
            split is empty.
    """
    loaded = load_checkpoint(checkpoint)
    cases = manifest.split(split)
    check_evaluable(loaded.meta, manifest.labels, cases, split=split)
    check_content(cases, data_dir)
    settings = settings or loaded.config.evaluation
    # Masks of this evaluation must never stand beside the figures of an earlier one.
    metrics.unlink(missing_ok=True)
    found = evaluate_cases(
        Predictor(loaded).segment,
        cases,
        labels=manifest.labels,
        data_dir=data_dir,
        predictions=predictions,
        overlays=output / "overlays",
        settings=settings,
    )
    summary = _summarise(found, loaded.meta, manifest.labels, split=split, settings=settings)
    _write_tables(found, summary, manifest.labels, output)
    places = {"checkpoint": checkpoint, "predictions": predictions, "evaluation": output}
    summary["provenance"] = short_form(hash_files(places))
    pictures = {case.case: output / "overlays" / f"{case.case}.png" for case in cases}
    write_report(
        checkpoint=loaded,
        scores=found.scores,
        summary=summary,
        overlays=pictures,
        output=output / "report.html",
        calibration=found.reliability,
    )
    write_atomically(output / SUMMARY_FILE, summary_bytes(summary))
    content = summary_bytes(main_figures(summary))
    record = Provenance(
        split=split,
        patients=sorted({case.patient for case in cases}),
        leak_check=summary["leak_check"],
        manifest_sha256=hashlib.sha256(manifest_bytes(manifest)).hexdigest(),
        data_version=loaded.meta.data_version,
        settings=settings,
        files={**hash_files(places), "metrics.json": hashlib.sha256(content).hexdigest()},
    )
    write_provenance(record, output)
    write_atomically(metrics, content)
    return summary


class Found(NamedTuple):
    """What predicting and scoring some cases gives: a score per case and structure, and two tables over all voxels.

    `confusion` is (classes, classes) voxels by true and predicted class, `reliability` that of `count_reliability`.
    """

    scores: list[Score]
    confusion: np.ndarray
    reliability: np.ndarray


def evaluate_cases(
    predictor: Callable[[Volume], Segmentation],
    cases: Sequence[Case],
    *,
    labels: Mapping[str, int],
    data_dir: Path,
    settings: Evaluation,
    predictions: Path | None = None,
    overlays: Path | None = None,
) -> Found:
    """Predict and score each case; `predictor` maps an image to a segmentation on the same grid.

    Masks go to the folder `predictions` and drawings to `overlays`, where these are given.
    """
    scores: list[Score] = []
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    reliability = np.zeros((3, BINS))
    for case in _with_progress(cases):
        image, truth = read_pair(data_dir / case.image, data_dir / str(case.label), case.case)
        mask, confidence, prompt_source = predictor(image)
        if predictions:
            write_volume(mask, predictions / f"{case.case}{_mask_ending(case)}")
        rows = score_case(
            truth, mask, labels, case=case, tolerance_mm=settings.tolerance_mm, prompt_source=prompt_source
        )
        if overlays:
            draw_overlay(image, truth, mask, labels, scores=rows, path=overlays / f"{case.case}.png")
        scores += rows
        confusion += count_confusion(truth.array, mask.array, len(labels))
        near = near_structures(truth.array, mask.array, truth.spacing, settings.band_mm)
        reliability += count_reliability(truth.array[near], mask.array[near], confidence[near])
    return Found(scores, confusion, reliability)


def _summarise(
    found: Found, meta: Meta, labels: Mapping[str, int], *, split: str, settings: Evaluation
) -> dict[str, Any]:
    error = expected_calibration_error(found.reliability)
    return {
        **aggregate(found.scores, ejection_class=settings.cavity(labels)),
        "split": split,
        "leak_check": leak_check(meta),
        "tolerance_mm": settings.tolerance_mm,
        "calibration": {
            "expected_calibration_error": None if error is None else round(error, 6),
            "region": f"voxels within {settings.band_mm:g} mm of a structure in label or prediction",
            "bins": BINS,
        },
    }


def _write_tables(found: Found, summary: dict[str, Any], labels: Mapping[str, int], output: Path) -> None:
    write_scores(found.scores, output / "cases.csv")
    write_per_class(summary, output / "per_class.csv")
    write_confusion(found.confusion, labels, output / "confusion.csv")
    write_reliability(found.reliability, output / "calibration.csv")
    # An earlier evaluation's would be taken for this one's.
    (output / "ejection.csv").unlink(missing_ok=True)
    if "ejection" in summary:
        write_ejection(ejection_fractions(found.scores, summary["ejection"]["class"]), output / "ejection.csv")


def _mask_ending(case: Case) -> str:
    return ".png" if ending_of(Path(case.image)) == ".png" else ".nii.gz"


def _with_progress(cases: Sequence[Case]) -> Iterator[Case]:
    with ProgressBar("evaluate", unit="items") as progress:
        for number, case in enumerate(cases, start=1):
            yield case
            progress.show(number, total=len(cases), note=case.case)
