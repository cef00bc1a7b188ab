"""The step ``evaluate``: checkpoint and data in, predictions, scores and a report out."""

from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    *,
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder.")] = Path("checkpoint"),
    manifest: Annotated[Path, typer.Option(help="Manifest of the data set.")] = Path("manifest.csv"),
    split: Annotated[str, typer.Option(help="Which patients: test, or val to decide between recipes.")] = "test",
    predictions: Annotated[Path, typer.Option(help="Folder for the predicted masks.")] = Path("predictions"),
    output: Annotated[Path, typer.Option(help="Folder for the tables, overlays and report.")] = Path("evaluation"),
    metrics: Annotated[Path, typer.Option(help="File for the main figures.")] = Path("metrics.json"),
    params: Annotated[
        Path | None,
        typer.Option(help="Recipe whose section evaluation counts; the checkpoint's own if not given."),
    ] = None,
) -> dict[str, Any]:
    """Score a checkpoint on patients it never saw, and write a report.

    Example: sss evaluate --data-dir data/phantom --checkpoint checkpoint
    \f
    Returns:
        The content of ``summary.json`` in `output`.

    Raises:
        InputError: the checkpoint saw patients or images of the split, or something in the inputs can't be used.
    """
    from sss_model.config import load_config
    from sss_model.data.manifest import read_manifest
    from sss_model.evaluation.evaluate import evaluate

    summary = evaluate(
        checkpoint,
        data_dir=data_dir,
        manifest=read_manifest(manifest),
        split=split,
        output=output,
        predictions=predictions,
        metrics=metrics,
        settings=load_config(params).evaluation if params else None,
    )
    interval = summary["intervals"]["dice"]
    dice = "not applicable" if summary["dice"] is None else f"{summary['dice']:.3f}"
    if interval:
        dice += f" (95 % interval over patients {interval['low']:.3f} to {interval['high']:.3f})"
    counts = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in summary["counts"].items())
    typer.echo(f"structures: {counts}")
    typer.echo(f"mean Dice {dice} on {summary['cases']} {split} scans, report in {output / 'report.html'}")
    return summary


def headline(summary: dict[str, Any]) -> dict[str, float]:
    """The figures that Kubeflow's list of runs shows; what is not applicable is left out."""
    figures = {"Dice": summary["dice"], "HD95 (mm)": summary["hd95_mm"], "ASD (mm)": summary["asd_mm"]}
    figures |= {f"Dice {name}": measures["dice"] for name, measures in summary["per_class"].items()}
    return {name: round(value, 4) for name, value in figures.items() if value is not None}
