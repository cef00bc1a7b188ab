"""The step ``train``: manifest and recipe in, checkpoint out, live curves in MLflow."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError
from sss_model.files import read_json, sha256, write_json

if TYPE_CHECKING:
    from sss_model.training.fine_tuning import Parent


def train(
    *,
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    params: Annotated[Path, typer.Option(help="Recipe to train.")] = Path("params.yaml"),
    manifest: Annotated[Path, typer.Option(help="Its manifest, from version-data.")] = Path("manifest.csv"),
    data_version: Annotated[Path, typer.Option(help="Its version, from version-data.")] = Path("data_version.json"),
    output: Annotated[Path, typer.Option(help="Checkpoint folder to write.")] = Path("checkpoint"),
    work: Annotated[str, typer.Option(help="Folder or s3://bucket/prefix for unfinished trainings.")] = ".runs",
    cache: Annotated[Path, typer.Option(help="Folder for preprocessed slices.")] = Path(".cache"),
    checkpoints: Annotated[Path, typer.Option(help="Folder for pretrained weights.")] = Path("checkpoints"),
) -> None:
    """Train a model on the labelled and the unlabelled scans of a manifest.

    A training that was killed goes on where it was when the same command runs again. MLflow shows its curves while it
    learns.

    Example: sss train --data-dir data/phantom --params params.yaml
    \f
    Raises:
        InputError: something in the inputs can't be used, or another process is at the same training.
        SystemExit: 143 after SIGTERM, once the state is saved.
    """
    from sss_ops.storage.parent_model import pinned_recipe

    with pinned_recipe(params) as exact:
        _train(exact, data_dir, manifest, data_version, output, work, cache, checkpoints)


def _train(
    params: Path,
    data_dir: Path,
    manifest: Path,
    data_version: Path,
    output: Path,
    work: str,
    cache: Path,
    checkpoints: Path,
) -> None:
    from sss_model.config import load_config
    from sss_model.data.manifest import read_manifest
    from sss_ops.storage.parent_model import parent_of
    from sss_ops.storage.pretrained import pretrained_file
    from sss_ops.storage.training_state import work_place
    from sss_ops.tracking.runs import LiveRun

    config = load_config(params)
    cases = read_manifest(manifest)
    version = read_json(data_version, "version")["version"]
    pretrained = pretrained_file(config.model, checkpoints)
    parent = parent_of(config)
    identity = identity_of_training(
        params=params, manifest=manifest, data_version=data_version, pretrained=pretrained, parent=parent
    )
    # Seconds of imports, after what can be refused at once.
    from sss_model.training.train import train as train_network

    # Under torchrun every process trains, and the first one speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    with work_place(work, identity) as place, _alone(place.folder) if first else nullcontext():
        live = LiveRun(config.register_as.experiment, name=config.train.method, record=place.folder / "tracking.json")
        with live if first else nullcontext():
            train_network(
                config,
                data_dir=data_dir,
                manifest=cases,
                output=output,
                work_dir=place.folder,
                cache_dir=cache,
                data_version=version,
                manifest_sha256=sha256(manifest),
                pretrained=pretrained,
                parent=parent,
                on_metrics=live.log if first else lambda step, scalars: None,
                on_save=place.on_save,
            )
        if first:
            write_json(output / "tracking.json", live.as_record())
            # The same training, started again, is a new run.
            place.forget()


def identity_of_training(
    *, params: Path, manifest: Path, data_version: Path, pretrained: Path | None, parent: "Parent | None" = None
) -> str:
    """The name that a training's unfinished state is kept under; see `sss_model.training.identity`."""
    from sss_model.config import load_config
    from sss_model.training.identity import training_identity

    version = read_json(data_version, "version")["version"]
    return training_identity(
        load_config(params),
        data_version=version,
        manifest_sha256=sha256(manifest),
        pretrained_sha256=sha256(pretrained) if pretrained else None,
        parent_sha256=parent.weights_sha256 if parent else None,
    )


@contextmanager
def _alone(work_dir: Path) -> Iterator[None]:
    """Hold the work folder against a second process, such as one whose parent was killed and that still trains."""
    from filelock import FileLock, Timeout

    work_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work_dir / "lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{work_dir}: another process is at this same training; expected to be alone") from None
    try:
        yield
    finally:
        lock.release()


def require_passed(passed: bool) -> None:
    """Raise `InputError` where the data checks did not pass.

    In a pipeline the step before succeeds either way, so that its report can be read.
    """
    if not passed:
        raise InputError("the data did not pass the data checks; expected a pass, see the report of the step before")


def training_summary(checkpoint: Path) -> tuple[str, dict[str, float]]:
    """The SHA-256 of a checkpoint's weights, and the figures of its training for a list of runs."""

    meta = read_json(checkpoint / "meta.json", "val_dice", "val_dice_per_class", "steps", "minutes")
    figures = {"Dice, validation": meta["val_dice"], "steps": meta["steps"], "minutes": meta["minutes"]}
    figures |= {f"Dice {name}, validation": dice for name, dice in meta["val_dice_per_class"].items()}
    return sha256(checkpoint / "weights.pt"), {name: round(value, 4) for name, value in figures.items()}
