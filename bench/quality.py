"""Predicted quality and drift warnings on validation patients: how well they work on real scans.

python -m bench.quality --checkpoint checkpoint --data data/acdc
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sss_ops.command_line import run_command


def command(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder.")] = Path("checkpoint"),
    data: Annotated[Path, typer.Option(help="The data set that it was trained on.")] = Path("data/acdc"),
) -> None:
    """Compare the expected Dice of each validation patient, by a line through the others, with the actual Dice; count
    the scans that the fingerprint takes for unusual.

    Example: python -m bench.quality --checkpoint checkpoint --data data/acdc
    """
    import numpy as np

    from sss_model.data.manifest import build_manifest
    from sss_model.inference.predictor import Predictor
    from sss_model.inference.quality import QualityFeatures, foreground, left_out, quality_score, spearman
    from sss_model.training.quality_calibration import fit_predictions, mean_dice, predict_labelled
    from sss_ops.experiments.cells import print_table

    manifest, predictor = build_manifest(data), Predictor.load(checkpoint)
    cases = [case for case in manifest.split("val") if case.labelled]
    predictions = list(predict_labelled(predictor, cases, labels=manifest.labels, data_dir=data))
    fit, names = fit_predictions(predictions, manifest.labels), foreground(manifest.labels)
    always = fit.always if fit else []
    dice = np.array([mean_dice(one) for one in predictions])
    patients = np.array([one.case.patient for one in predictions])
    scores = {
        "quality": np.array([quality_score(one.features, names, always) for one in predictions]),
        **{
            name: np.array([np.nanmean(getattr(one.features, name)) for one in predictions])
            for name in QualityFeatures._fields
        },
    }
    expected = {name: left_out(values, dice, patients) for name, values in scores.items()}
    rows = [
        {"case": one.case.case, "dice": dice[row], **{name: values[row] for name, values in expected.items()}}
        for row, one in enumerate(predictions)
    ]
    for row, one in zip(rows, predictions, strict=True):
        row["unusual"] = "; ".join(one.warnings)
    print_table(f"{data.name}, validation patients, each by the others", rows, list(rows[0]))
    figures = {
        "cases": len(rows),
        "patients": len(set(patients)),
        "spearman": {name: spearman(values, dice) for name, values in expected.items()},
        "mean_error": {name: round(float(np.abs(values - dice).mean()), 4) for name, values in expected.items()},
        "error_of_the_mean": round(float(np.abs(left_out(np.zeros_like(dice), dice, patients) - dice).mean()), 4),
        "unusual": sum(bool(row["unusual"]) for row in rows),
        "fit": fit.model_dump() if fit else None,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    run_command(command)
