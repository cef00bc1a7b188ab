"""Predicted quality and the fingerprint on validation patients: what they are worth on real scans.

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
    """Compare the Dice that each validation patient's masks are expected to have, by a line through the others', with
    the Dice that they have; and count the scans that the fingerprint takes for strange.

    Example: python -m bench.quality --checkpoint checkpoint --data data/acdc
    """
    import numpy as np

    from sss_model.data.manifest import build_manifest
    from sss_model.inference.predictor import Predictor
    from sss_model.inference.quality import foreground, left_out, score_of, spearman
    from sss_model.training.quality_calibration import fit_trials, mean_dice, tried
    from sss_ops.experiments.cells import print_table

    manifest, predictor = build_manifest(data), Predictor.load(checkpoint)
    cases = [case for case in manifest.split("val") if case.labelled]
    trials = list(tried(predictor, cases, labels=manifest.labels, data_dir=data))
    fit, names = fit_trials(trials, manifest.labels), foreground(manifest.labels)
    always = fit.always if fit else []
    dice = np.array([mean_dice(trial) for trial in trials])
    patients = np.array([trial.case.patient for trial in trials])
    scores = {
        "quality": np.array([score_of(trial.signs, names, always) for trial in trials]),
        **{
            sign: np.array([np.nanmean(getattr(trial.signs, sign)) for trial in trials])
            for sign in ("sure", "views", "slices")
        },
    }
    foreseen = {name: left_out(values, dice, patients) for name, values in scores.items()}
    rows = [
        {"case": trial.case.case, "dice": dice[row], **{name: values[row] for name, values in foreseen.items()}}
        for row, trial in enumerate(trials)
    ]
    for row, trial in zip(rows, trials, strict=True):
        row["strange"] = "; ".join(trial.warnings)
    print_table(f"{data.name}, validation patients, each by the others", rows, list(rows[0]))
    figures = {
        "cases": len(rows),
        "patients": len(set(patients)),
        "spearman": {name: spearman(values, dice) for name, values in foreseen.items()},
        "mean_error": {name: round(float(np.abs(values - dice).mean()), 4) for name, values in foreseen.items()},
        "error_of_the_mean": round(float(np.abs(left_out(np.zeros_like(dice), dice, patients) - dice).mean()), 4),
        "strange": sum(bool(row["strange"]) for row in rows),
        "fit": fit.model_dump() if fit else None,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    run_command(command)
