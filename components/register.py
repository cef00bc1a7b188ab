"""The step ``register``: a checkpoint and its evaluation become a model version in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

    from sss_model.checkpoint import Checkpoint

# What prediction imports; a server of the model installs these at the versions that are installed here.
_REQUIREMENTS = [
    *("hydra-core", "iopath", "lightning-fabric", "mlflow", "monai", "nibabel", "numpy", "pandas", "pillow"),
    *("pydantic", "pyyaml", "rich", "sam2", "scipy", "torch", "tqdm"),
]


def run(
    *,
    checkpoint: Path,
    metrics: Path,
    evaluation: Path,
    validation: Path,
    data_version: Path,
    params: Path,
    output: Path,
) -> None:
    """Register a trained model with all that is known of it, under the alias ``challenger``.

    Its parameters, metrics and reports go to the run that followed the training, or to a new one where the store lacks
    it.

    Args:
        checkpoint: the checkpoint's folder.
        metrics: metrics.json of its evaluation.
        evaluation: the evaluation's folder, with report.html and cases.csv.
        validation: the data gate's report.
        data_version: what the step version-data wrote.
        params: the recipe; its section ``register`` names the experiment and the model.
        output: JSON file to write: model, version, run_id and uri.

    Raises:
        InputError: the recipe or the checkpoint can't be used.
    """
    import mlflow

    from components.records import read_record, write_record
    from components.tracking import connect
    from sss_model.checkpoint import load_checkpoint
    from sss_model.config import load_config

    names = load_config(params).register_as
    trained = load_checkpoint(checkpoint)
    scores = read_record(metrics, "dice", "per_class")
    client = connect()
    run_id = _training_run(client, checkpoint, trained, names.experiment)
    with mlflow.start_run(run_id=run_id):
        mlflow.log_params(_parameters(trained))
        mlflow.log_metrics(_numbers(scores))
        mlflow.set_tags(_tags(trained, scores))
        _log_dataset(data_version)
        for file in (evaluation / "report.html", evaluation / "cases.csv", validation, checkpoint / "history.csv"):
            mlflow.log_artifact(str(file), "validation" if file == validation else "evaluation")
        version = _log_model(checkpoint, names.model)
    for key, value in _tags(trained, scores).items():
        client.set_model_version_tag(names.model, version, key, value)
    client.set_registered_model_alias(names.model, "challenger", version)
    record = {"model": names.model, "version": version, "run_id": run_id, "uri": f"models:/{names.model}/{version}"}
    write_record(output, record)


def command(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder, from train.")] = Path("checkpoint"),
    metrics: Annotated[Path, typer.Option(help="Scores, from evaluate.")] = Path("metrics.json"),
    evaluation: Annotated[Path, typer.Option(help="Report folder, from evaluate.")] = Path("evaluation"),
    validation: Annotated[Path, typer.Option(help="Report, from validate-splits.")] = Path("validation/report.html"),
    data_version: Annotated[Path, typer.Option(help="Version record, from version-data.")] = Path("data_version.json"),
    params: Annotated[Path, typer.Option(help="Recipe that names experiment and model.")] = Path("params.yaml"),
    output: Annotated[Path, typer.Option(help="Record of the registration to write.")] = Path("registration.json"),
) -> None:
    """Register a trained and evaluated model in MLflow.

    The store is the one that MLFLOW_TRACKING_URI names, or mlflow.db in this folder.

    Example: MLFLOW_TRACKING_URI=http://localhost:5000 sss register
    """
    run(
        checkpoint=checkpoint,
        metrics=metrics,
        evaluation=evaluation,
        validation=validation,
        data_version=data_version,
        params=params,
        output=output,
    )


def _training_run(client: MlflowClient, checkpoint: Path, trained: Checkpoint, experiment: str) -> str:
    """The run that followed the training; where the store lacks it, a new one that is given the curves."""
    from components.tracking import create_run, find_run, log_metrics, scalars_to_metrics

    run_id = find_run(client, checkpoint / "tracking.json")
    if run_id is None:
        run_id = create_run(client, experiment, trained.meta.method)
        rows = [row.dropna().to_dict() for _, row in trained.history.iterrows()]
        log_metrics(
            client, run_id, [metric for row in rows for metric in scalars_to_metrics(int(row.pop("step")), row)]
        )
    return run_id


def _parameters(trained: Checkpoint) -> dict[str, Any]:
    """What was trained: the recipe but for what other steps read of it, and how many patients took part."""
    recipe = {key: value for key, value in trained.meta.config.items() if key not in ("register", "validation")}
    patients = {f"patients.{role}": len(names) for role, names in trained.meta.patients.model_dump().items()}
    return {**_flat(recipe), **patients}


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    flat = _flat(scores).items()
    return {f"test.{key}": float(value) for key, value in flat if isinstance(value, int | float)}


def _tags(trained: Checkpoint, scores: dict[str, Any]) -> dict[str, str]:
    meta = trained.meta
    tags = {
        "data_version": meta.data_version,
        "manifest_sha256": meta.manifest_sha256,
        "git_revision": meta.git_revision,
        "image_digest": meta.image_digest,
        "dice": scores["dice"],
        **{f"dice_{name}": of_class["dice"] for name, of_class in scores["per_class"].items()},
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def _log_dataset(data_version: Path) -> None:
    """Name the data version as the run's input."""
    import mlflow

    from components.records import read_record

    facts = read_record(data_version, "name", "version")
    source = mlflow.data.meta_dataset.MetaDataset(  # type: ignore[abstract]
        mlflow.data.code_dataset_source.CodeDatasetSource(tags={"dvc": facts["version"]}),
        name=facts["name"],
        digest=facts["version"],
    )
    mlflow.log_input(source, context="training")


def _log_model(checkpoint: Path, name: str) -> str:
    """Store the model in the active run and register it; returns the version."""
    import mlflow

    import sss_model

    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={"checkpoint": str(checkpoint)},
        code_paths=[sss_model.__path__[0]],
        pip_requirements=_pinned_requirements(),
        signature=_signature(),
        input_example=_example(),
        registered_model_name=name,
    )
    return str(info.registered_model_version)


def _signature() -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(Schema([ColSpec("binary", "nifti")]), Schema([ColSpec("binary", "mask")]))


def _example() -> Any:
    """A scan of three slices, as small as a file can be."""
    import nibabel as nib
    import numpy as np
    import pandas as pd

    ramp = np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
    return pd.DataFrame({"nifti": [nib.Nifti1Image(ramp, np.diag([4.0, 4.0, 10.0, 1.0])).to_bytes()]})


def _pinned_requirements() -> list[str]:
    from importlib.metadata import version

    # "+cpu" says where a build came from, not what it does, and an index knows the version without it.
    return [f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS]


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    pairs: dict[str, Any] = {}
    for key, value in nested.items():
        pairs |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return pairs


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
