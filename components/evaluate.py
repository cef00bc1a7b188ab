"""The step ``evaluate``: checkpoint and data in, predictions, scores and a report out."""

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    *,
    checkpoint: Path,
    data_dir: Path,
    manifest: Path,
    split: str,
    predictions: Path,
    output: Path,
    metrics: Path,
    params: Path | None = None,
) -> dict[str, Any]:
    """Predict the cases of a split, score them and report.

    Args:
        checkpoint: the checkpoint's folder.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        manifest: what the step version-data wrote.
        split: test or val.
        predictions: folder for the masks.
        output: folder for the tables, report.html, overlays and provenance.json.
        metrics: JSON file with the means.
        params: the recipe whose section ``evaluation`` counts; None is the one that the checkpoint was trained by.

    Returns:
        The content of `metrics`.

    Raises:
        InputError: the checkpoint saw patients or images of the split, or something in the inputs can't be used.
    """
    from sss_model.config import load_config
    from sss_model.evaluate import evaluate
    from sss_model.manifest import read_manifest

    return evaluate(
        checkpoint,
        data_dir=data_dir,
        manifest=read_manifest(manifest),
        split=split,
        output=output,
        predictions=predictions,
        metrics=metrics,
        settings=load_config(params).evaluation if params else None,
    )


def command(
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder.")] = Path("checkpoint"),
    manifest: Annotated[Path, typer.Option(help="Manifest of the data set.")] = Path("manifest.csv"),
    split: Annotated[str, typer.Option(help="Which patients: test, or val to decide between recipes.")] = "test",
    predictions: Annotated[Path, typer.Option(help="Folder for the predicted masks.")] = Path("predictions"),
    output: Annotated[Path, typer.Option(help="Folder for the tables, overlays and report.")] = Path("evaluation"),
    metrics: Annotated[Path, typer.Option(help="File for the mean scores.")] = Path("metrics.json"),
    params: Annotated[
        Path | None,
        typer.Option(help="Recipe whose section evaluation counts; the checkpoint's own if not given."),
    ] = None,
) -> None:
    """Score a checkpoint on patients it never saw, and write a report.

    Example: sss evaluate --data-dir data/phantom --checkpoint checkpoint
    """
    summary = run(
        checkpoint=checkpoint,
        data_dir=data_dir,
        manifest=manifest,
        split=split,
        predictions=predictions,
        output=output,
        metrics=metrics,
        params=params,
    )
    interval = summary["intervals"]["dice"]
    dice = "not applicable" if summary["dice"] is None else f"{summary['dice']:.3f}"
    if interval:
        dice += f" (95 % interval over patients {interval['low']:.3f} to {interval['high']:.3f})"
    counts = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in summary["counts"].items())
    typer.echo(f"structures: {counts}")
    typer.echo(f"mean Dice {dice} on {summary['cases']} {split} scans, report in {output / 'report.html'}")


def headline(summary: dict[str, Any]) -> dict[str, float]:
    """The numbers of ``metrics.json`` that a list of runs shows; what is not applicable is left out."""
    figures = {"Dice": summary["dice"], "HD95 (mm)": summary["hd95_mm"], "ASD (mm)": summary["asd_mm"]}
    figures |= {f"Dice {name}": measures["dice"] for name, measures in summary["per_class"].items()}
    return {name: round(value, 4) for name, value in figures.items() if value is not None}


def kubeflow_component() -> Any:
    """The step as a Kubeflow component."""
    from kfp import dsl

    @dsl.component(base_image="sss", install_kfp_package=False)
    def evaluate(
        checkpoint: dsl.Input[dsl.Model],
        data: dsl.Input[dsl.Dataset],
        manifest: dsl.Input[dsl.Dataset],
        data_version: str,
        checkpoint_sha256: str,
        image: str,
        metrics: dsl.Output[dsl.Metrics],
        confusion: dsl.Output[dsl.ClassificationMetrics],
        report: dsl.Output[dsl.HTML],
        predictions: dsl.Output[dsl.Artifact],
        evaluation: dsl.Output[dsl.Artifact],
    ) -> None:
        """Score the model on test patients it never saw, and report."""
        import shutil
        from pathlib import Path

        from components import evaluate, pod
        from sss_model.confusion import confusion_shares

        with pod.pod(image=image):
            summary = evaluate.run(
                checkpoint=Path(checkpoint.path),
                data_dir=Path(data.path, data.metadata["name"]),
                manifest=Path(manifest.path),
                split="test",
                predictions=Path(predictions.path),
                output=Path(evaluation.path),
                metrics=Path(metrics.path),
            )
        shutil.copyfile(Path(evaluation.path, "report.html"), report.path)
        shutil.copyfile(Path(evaluation.path, "confusion.csv"), confusion.path)
        for name, value in evaluate.headline(summary).items():
            metrics.log_metric(name, value)
        confusion.log_confusion_matrix(*confusion_shares(Path(confusion.path)))

    return evaluate


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
