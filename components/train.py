"""The training as a Kubeflow component; with several nodes it only launches the training and follows it."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="sss", install_kfp_package=False)
def train(
    data: dsl.Input[dsl.Dataset],
    manifest: dsl.Input[dsl.Dataset],
    record: dsl.Input[dsl.Artifact],
    recipe: str,
    data_version: str,
    passed: bool,
    gpus: int,
    nodes: int,
    trainer: dict,  # type: ignore[type-arg]
    work: str,
    mlflow: str,
    image: str,
    checkpoint: dsl.Output[dsl.Model],
    validation: dsl.Output[dsl.Metrics],
) -> NamedTuple("Trained", [("checkpoint_sha256", str)]):  # type: ignore[valid-type]
    """Learn from labelled and unlabelled scans; after an interruption, go on where it was."""
    from pathlib import Path

    from sss_model.files import write_json
    from sss_ops.cluster.pod import in_pod, recipe_file
    from sss_ops.steps.train import require_passed, training_summary
    from sss_ops.steps.train_distributed import train_in_pod

    with in_pod(image=image, mlflow=mlflow), recipe_file(recipe) as params:
        require_passed(passed)
        train_in_pod(
            params=params,
            data_dir=Path(data.path, data.metadata["name"]),
            manifest=Path(manifest.path),
            data_version=Path(record.path),
            output=Path(checkpoint.path),
            work=work,
            gpus=gpus,
            nodes=nodes,
            trainer=trainer,
            image=image,
        )
        content, figures = training_summary(Path(checkpoint.path))
        # Kubeflow's local cache believes in an artifact only if there is a file.
        write_json(Path(validation.path), figures)
    for name, value in figures.items():
        validation.log_metric(name, value)
    return (content,)
