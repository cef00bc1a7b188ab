"""The step ``register``: a checkpoint and its evaluation become a model version in MLflow."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sss_model.errors import InputError
from sss_model.files import read_json, sha256, write_json
from sss_ops.tracking.store import tracking_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.data import Dataset

    from sss_model.checkpoint import Checkpoint


def register(
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder, from train.")] = Path("checkpoint"),
    metrics: Annotated[Path, typer.Option(help="Main figures, from evaluate.")] = Path("metrics.json"),
    evaluation: Annotated[Path, typer.Option(help="Report folder, from evaluate.")] = Path("evaluation"),
    validation: Annotated[Path, typer.Option(help="Report, from validate-splits.")] = Path("validation/report.html"),
    data_version: Annotated[Path, typer.Option(help="Version record, from version-data.")] = Path("data_version.json"),
    params: Annotated[Path, typer.Option(help="Recipe that names experiment and model.")] = Path("params.yaml"),
    output: Annotated[Path, typer.Option(help="Record of the registration to write.")] = Path("registration.json"),
    card: Annotated[Path, typer.Option(help="Model card to write.")] = Path("model_card.md"),
    manifest: Annotated[Path | None, typer.Option(help="Manifest, from version-data.")] = Path("manifest.csv"),
    predictions: Annotated[Path | None, typer.Option(help="Masks, from evaluate.")] = Path("predictions"),
) -> dict[str, str]:
    """Register a trained and evaluated model in MLflow, under the alias ``challenger``.

    The store is the one that MLFLOW_TRACKING_URI names, or mlflow.db in this folder.

    Example: MLFLOW_TRACKING_URI=http://localhost:5000 sss register
    \f
    Parameters, metrics and reports go to the run that followed the training, or to a new one where the store lacks it;
    so does all that an audit and a release need, see `sss_ops.registry.evidence`. Without `manifest` and
    `predictions`, None from Python, the version can be neither audited nor released.

    Returns:
        The content of `output`: model, version, run_id and uri.

    Raises:
        InputError: the recipe, the checkpoint or another step's file is missing or can't be used, the evaluation is not
            this checkpoint's or was changed since, or the model is worse than ``register.min_dice``.
    """
    import mlflow

    from sss_model.checkpoint import load_checkpoint
    from sss_model.config import load_config
    from sss_model.evaluation.audit import EvaluationFiles
    from sss_model.evaluation.summary import SUMMARY_FILE
    from sss_model.evaluation.tables import read_scores
    from sss_ops.registry.evidence import EVIDENCE_TAG, Evidence, version_tags
    from sss_ops.serving.model_card import write_card
    from sss_ops.serving.package import register_model

    names = load_config(params).register_as
    trained = load_checkpoint(checkpoint)
    scores = read_json(evaluation / SUMMARY_FILE, "dice", "per_class")
    data = read_json(data_version, "name", "version")
    _refuse_poor(scores["dice"], names.min_dice)
    reports = {
        "validation/report.html": validation,
        "evaluation/report.html": evaluation / "report.html",
        "evaluation/cases.csv": evaluation / "cases.csv",
        "checkpoint/history.csv": checkpoint / "history.csv",
    }
    _refuse_missing(reports.values())
    evidence = None
    if manifest and predictions:
        files = EvaluationFiles(checkpoint, predictions, evaluation, metrics, manifest, data_version)
        evidence = Evidence(files, data_checks=validation)
        evidence.refuse_contradictions()
    rows = read_scores(evaluation / "cases.csv")
    write_card(card, model=names.model, trained=trained, scores=scores, rows=rows, data=data)
    client = tracking_client()
    run_id = _training_run(client, checkpoint, trained, names.experiment)
    tags = version_tags(trained.meta, scores)
    with mlflow.start_run(run_id=run_id):
        _log_facts(trained, scores, data, tags)
        for name, file in {**reports, "model_card.md": card}.items():
            mlflow.log_text(file.read_text(encoding="utf-8"), name)
        if evidence:
            bill = _bill(checkpoint, trained, model=names.model, data=data)
            documents = {"sbom.cdx.json": bill, "model_card.md": card.read_text(encoding="utf-8")}
            tags[EVIDENCE_TAG] = evidence.log(client, run_id, documents)
        version = register_model(client, checkpoint, name=names.model, tags=tags, card=card)
    record = {"model": names.model, "version": version, "run_id": run_id, "uri": f"models:/{names.model}/{version}"}
    write_json(output, record)
    return record


def _refuse_poor(dice: float | None, least: float) -> None:
    if least and (dice is None or dice < least):
        found = "not applicable" if dice is None else f"{dice:.3f}"
        raise InputError(f"mean test Dice {found}: not registered; expected at least {least} (register.min_dice)")


def _training_run(client: "MlflowClient", checkpoint: Path, trained: "Checkpoint", experiment: str) -> str:
    """The run that followed the training, or a new one, with the training's curves completed."""
    from sss_ops.tracking.runs import create_run, find_run, log_missing, scalars_to_metrics

    run_id = find_run(client, checkpoint / "tracking.json") or create_run(client, experiment, trained.meta.method)
    rows = [row.dropna().to_dict() for _, row in trained.history.iterrows()]
    metrics = [metric for row in rows for metric in scalars_to_metrics(int(row.pop("step")), row)]
    # The store may have been unreachable for part of the training.
    log_missing(client, run_id, metrics)
    return run_id


def _log_facts(trained: "Checkpoint", scores: dict[str, Any], data: dict[str, Any], tags: dict[str, str]) -> None:
    """Log recipe, scores, tags and the data version to the active run."""
    import mlflow

    mlflow.log_params(_parameters(trained))
    mlflow.log_metrics(_numbers(scores))
    mlflow.set_tags(tags)
    mlflow.log_input(_dataset(data), context="training")


def _bill(checkpoint: Path, trained: "Checkpoint", *, model: str, data: dict[str, Any]) -> str:
    from sss_ops.serving.bill_of_materials import bill_of_materials
    from sss_ops.serving.package import REQUIREMENTS

    weights = sha256(checkpoint / "weights.pt")
    return bill_of_materials(model=model, weights_sha256=weights, trained=trained, data=data, requirements=REQUIREMENTS)


# Sections of summary.json with too many numbers for a run's list of metrics; the report shows them.
_TABLES = ("intervals", "groups", "counts_per_class", "volumes_ml")


def _parameters(trained: "Checkpoint") -> dict[str, Any]:
    """The recipe, without the sections that only other steps read, and the number of patients by role."""
    from sss_model.config import NOT_TRAINED, dump_config

    recipe = {key: value for key, value in dump_config(trained.config).items() if key not in NOT_TRAINED}
    patients = {f"patients.{role}": len(names) for role, names in trained.meta.patients.model_dump().items()}
    return {**_flat(recipe), **patients}


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    flat = _flat({key: value for key, value in scores.items() if key not in _TABLES}).items()
    return {f"test.{key}": float(value) for key, value in flat if isinstance(value, int | float)}


def _dataset(data: dict[str, Any]) -> "Dataset":
    """The data version as a dataset of MLflow."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"dvc": data["version"]})
    return MetaDataset(source, name=data["name"], digest=data["version"])  # type: ignore[abstract]


def _refuse_missing(files: Iterable[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: no such file; expected what an earlier step writes")


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    pairs: dict[str, Any] = {}
    for key, value in nested.items():
        pairs |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return pairs
