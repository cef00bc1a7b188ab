"""The registration as a Kubeflow component."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="sss", install_kfp_package=False)
def register(
    checkpoint: dsl.Input[dsl.Model],
    metrics: dsl.Input[dsl.Metrics],
    evaluation: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Artifact],
    manifest: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.HTML],
    record: dsl.Input[dsl.Artifact],
    recipe: str,
    data_version: str,
    checkpoint_sha256: str,
    mlflow: str,
    image: str,
    registration: dsl.Output[dsl.Artifact],
    card: dsl.Output[dsl.Markdown],
) -> NamedTuple("Registered", [("model", str), ("version", str)]):  # type: ignore[valid-type]
    """Make a version of the model in MLflow, with all that is known of it."""
    from pathlib import Path

    from sss_ops.cluster.pod import in_pod, recipe_file
    from sss_ops.steps.register import register

    with in_pod(image=image, mlflow=mlflow), recipe_file(recipe) as params:
        made = register(
            checkpoint=Path(checkpoint.path),
            metrics=Path(metrics.path),
            evaluation=Path(evaluation.path),
            validation=Path(validation.path),
            data_version=Path(record.path),
            params=params,
            output=Path(registration.path),
            card=Path(card.path),
            manifest=Path(manifest.path),
            predictions=Path(predictions.path),
        )
    return (made["model"], made["version"])
