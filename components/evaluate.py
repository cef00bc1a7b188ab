"""The evaluation as a Kubeflow component."""

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

    from sss_model.evaluation.confusion import confusion_shares
    from sss_ops.cluster.pod import in_pod
    from sss_ops.steps.evaluate import evaluate, headline

    with in_pod(image=image):
        summary = evaluate(
            checkpoint=Path(checkpoint.path),
            data_dir=Path(data.path, data.metadata["name"]),
            manifest=Path(manifest.path),
            predictions=Path(predictions.path),
            output=Path(evaluation.path),
            metrics=Path(metrics.path),
        )
    shutil.copyfile(Path(evaluation.path, "report.html"), report.path)
    shutil.copyfile(Path(evaluation.path, "confusion.csv"), confusion.path)
    for name, value in headline(summary).items():
        metrics.log_metric(name, value)
    confusion.log_confusion_matrix(*confusion_shares(Path(confusion.path)))
