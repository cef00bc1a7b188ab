"""Evaluation: predict the cases of a split that the checkpoint never saw, score them and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sss_model.checkpoint import Meta, load_checkpoint
from sss_model.confusion import count_confusion, write_confusion
from sss_model.errors import InputError
from sss_model.formats import ending_of
from sss_model.manifest import Case, Manifest
from sss_model.metrics import Score, score_case
from sss_model.overlays import draw_overlay
from sss_model.predict import Predictor
from sss_model.report import write_report
from sss_model.summary import aggregate, write_per_class, write_scores, write_summary
from sss_model.volumes import Volume, read_pair, write_volume


def evaluate(
    checkpoint: Path,
    *,
    data_dir: Path,
    manifest: Manifest,
    split: str = "test",
    output: Path,
    predictions: Path,
    metrics: Path,
) -> dict[str, Any]:
    """Evaluate a checkpoint on one side of the split.

    Args:
        checkpoint: its folder.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        split: test, or val to decide between recipes.
        output: folder for ``cases.csv``, ``per_class.csv``, ``confusion.csv``, ``report.html`` and
            ``overlays/CASE.png``.
        predictions: folder for the masks, each on its image's own grid.
        metrics: where ``metrics.json`` goes, last.

    Returns:
        The content of ``metrics.json``: see `sss_model.summary.aggregate`, and the split.

    Raises:
        InputError: a patient of the split was seen in training (or, for test, in choosing the weights); the
            checkpoint's classes are not the data's; a case has no label; the split is empty.
    """
    loaded = load_checkpoint(checkpoint)
    cases = manifest.split(split)
    check_evaluable(loaded.meta, manifest.labels, cases, split=split)
    # Masks of this evaluation must never stand beside the figures of an earlier one.
    metrics.unlink(missing_ok=True)
    overlays = output / "overlays"
    scores, confusion = evaluate_cases(
        Predictor(loaded),
        cases,
        labels=manifest.labels,
        data_dir=data_dir,
        predictions=predictions,
        overlays=overlays,
    )
    summary = {"split": split, **aggregate(scores)}
    write_scores(scores, output / "cases.csv")
    write_per_class(summary, output / "per_class.csv")
    write_confusion(confusion, manifest.labels, output / "confusion.csv")
    pictures = {case.case: overlays / f"{case.case}.png" for case in cases}
    write_report(checkpoint=loaded, scores=scores, summary=summary, overlays=pictures, output=output / "report.html")
    write_summary(summary, metrics)
    return summary


def evaluate_cases(
    predictor: Callable[[Volume], Volume],
    cases: Sequence[Case],
    *,
    labels: Mapping[str, int],
    data_dir: Path,
    predictions: Path | None = None,
    overlays: Path | None = None,
) -> tuple[list[Score], np.ndarray]:
    """Predict and score each case; `predictor` maps an image to a mask on the same grid.

    Masks go to the folder `predictions` and drawings to `overlays`, where these are given.

    Returns:
        A score per case and structure, and the voxels (classes, classes) of all cases by true and predicted class.
    """
    scores: list[Score] = []
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    for case in _with_progress(cases):
        image, truth = read_pair(data_dir / case.image, data_dir / str(case.label), case.case)
        prediction = predictor(image)
        if predictions:
            write_volume(prediction, predictions / f"{case.case}{_mask_ending(case)}")
        rows = score_case(truth, prediction, labels, case=case)
        if overlays:
            draw_overlay(image, truth, prediction, labels, scores=rows, path=overlays / f"{case.case}.png")
        scores += rows
        confusion += count_confusion(truth.array, prediction.array, len(labels))
    return scores, confusion


def check_evaluable(meta: Meta, labels: Mapping[str, int], cases: Sequence[Case], *, split: str) -> None:
    """Refuse, with an `InputError`, a split that would not give an honest score."""
    if not cases:
        raise InputError(f"split {split}: no cases in the manifest; expected at least one")
    if dict(labels) != meta.labels:
        raise InputError(f"checkpoint: its classes are {meta.labels}; expected the data's, {dict(labels)}")
    without_label = [case.case for case in cases if case.label is None]
    if without_label:
        raise InputError(f"split {split}: no label for {', '.join(without_label)}; expected one for every case")
    for role, patients in _seen(meta, split).items():
        known = sorted({case.patient for case in cases} & set(patients))
        if known:
            raise InputError(
                f"split {split}: the checkpoint saw {', '.join(known)} as {role} patients; "
                "expected patients it never saw"
            )


def _seen(meta: Meta, split: str) -> dict[str, list[str]]:
    seen = {"labelled": meta.patients.labelled, "unlabelled": meta.patients.unlabelled}
    # Weights were chosen on the validation patients, so a score on them is no test; scoring them as val is its use.
    return seen if split == "val" else {**seen, "validation": meta.patients.validation}


def _mask_ending(case: Case) -> str:
    return ".png" if ending_of(Path(case.image)) == ".png" else ".nii.gz"


def _with_progress(cases: Sequence[Case]) -> Iterator[Case]:
    from rich.console import Console
    from rich.progress import track

    console = Console()
    if console.is_terminal:
        yield from track(cases, "Evaluating", console=console, transient=True)
        return
    for number, case in enumerate(cases, start=1):
        print(f"evaluate: {case.case}, {number} of {len(cases)}", flush=True)
        yield case
