"""The step ``train``: manifest and recipe in, checkpoint out, its curves in MLflow while it learns."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from sss_model.fine_tuning import Parent


def run(
    *,
    params: Path,
    data_dir: Path,
    manifest: Path,
    data_version: Path,
    output: Path,
    work: str = ".runs",
    cache_dir: Path = Path(".cache"),
    checkpoints: Path = Path("checkpoints"),
) -> None:
    """Train the recipe on the data, going on where a killed training of the same recipe, data and code was.

    Args:
        params: the recipe.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        manifest, data_version: what the step version-data wrote.
        output: the checkpoint's folder.
        work: keeps the state of unfinished trainings, one folder each: a folder, or ``s3://bucket/prefix``.
        cache_dir: keeps preprocessed slices.
        checkpoints: keeps pretrained weights that are fetched from elsewhere.

    Raises:
        InputError: something in the inputs can't be used, or another process is at the same training.
        SystemExit: 143 after SIGTERM, once the state is saved.
    """
    from components.pretrained.parent import pinned

    with pinned(params) as exact:
        _train(exact, data_dir, manifest, data_version, output, work, cache_dir, checkpoints)


def _train(
    params: Path,
    data_dir: Path,
    manifest: Path,
    data_version: Path,
    output: Path,
    work: str,
    cache_dir: Path,
    checkpoints: Path,
) -> None:
    from components.pretrained.parent import parent_of
    from components.pretrained.resolve import pretrained_file
    from components.records import read_record, write_record
    from components.tracking import LiveRun
    from components.work_place import work_place
    from sss_model.config import load_config
    from sss_model.files import sha256
    from sss_model.manifest import read_manifest

    config = load_config(params)
    cases = read_manifest(manifest)
    version = read_record(data_version, "version")["version"]
    pretrained = pretrained_file(config.model, checkpoints)
    parent = parent_of(config)
    identity = identity_of(
        params=params, manifest=manifest, data_version=data_version, pretrained=pretrained, parent=parent
    )
    # Seconds of imports, after what can be refused at once.
    from sss_model.train import train

    # Under torchrun every process trains, and the first one speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    with work_place(work, identity) as place, _alone(place.folder) if first else nullcontext():
        live = LiveRun(config.register_as.experiment, name=config.train.method, record=place.folder / "tracking.json")
        with live if first else nullcontext():
            train(
                config,
                data_dir=data_dir,
                manifest=cases,
                output=output,
                work_dir=place.folder,
                cache_dir=cache_dir,
                data_version=version,
                manifest_sha256=sha256(manifest),
                pretrained=pretrained,
                parent=parent,
                on_metrics=live.log if first else lambda step, scalars: None,
                on_save=place.on_save,
            )
        if first:
            write_record(output / "tracking.json", live.as_record())
            # Who trains the same again starts a new run.
            place.forget()


def identity_of(
    *, params: Path, manifest: Path, data_version: Path, pretrained: Path | None, parent: "Parent | None" = None
) -> str:
    """The name that a training's unfinished state is kept under; see `sss_model.identity`."""
    from components.records import read_record
    from sss_model.config import load_config
    from sss_model.files import sha256
    from sss_model.identity import training_identity

    version = read_record(data_version, "version")["version"]
    return training_identity(
        load_config(params),
        data_version=version,
        manifest_sha256=sha256(manifest),
        pretrained_sha256=sha256(pretrained) if pretrained else None,
        parent_sha256=parent.weights_sha256 if parent else None,
    )


def command(
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

    A training that was killed goes on where it was when the same command is typed again. Its curves are in MLflow while
    it learns.

    Example: sss train --data-dir data/phantom --params params.yaml
    """
    run(
        params=params,
        data_dir=data_dir,
        manifest=manifest,
        data_version=data_version,
        output=output,
        work=work,
        cache_dir=cache,
        checkpoints=checkpoints,
    )


@contextmanager
def _alone(work_dir: Path) -> Iterator[None]:
    """Hold the work folder against a second process, such as one whose parent was killed and that still trains."""
    from sss_model.errors import InputError

    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{work_dir}: another process is at this same training; expected to be alone") from None
        yield


def kubeflow_component() -> Any:
    """The step as a Kubeflow component; with several nodes it only launches the training and follows it."""
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

        from components import pod, records, train, train_nodes, train_processes

        with pod.pod(image=image, mlflow=mlflow), pod.recipe_file(recipe) as params:
            train.refuse_unless(passed)
            inputs: dict[str, Any] = {
                "params": params,
                "data_dir": Path(data.path, data.metadata["name"]),
                "manifest": Path(manifest.path),
                "data_version": Path(record.path),
                "output": Path(checkpoint.path),
                "work": work,
            }
            if nodes > 1:
                train_nodes.run(**inputs, nodes=nodes, trainer=trainer, image=image)
            elif gpus > 1:
                train_processes.run(**inputs, processes=gpus)
            else:
                inputs |= {"cache_dir": train.beside(work, "cache"), "checkpoints": train.beside(work, "checkpoints")}
                train.run(**inputs)
            content, figures = train.outcome(Path(checkpoint.path))
            # Kubeflow's local cache believes in an artifact only if there is a file.
            records.write_record(Path(validation.path), figures)
        for name, value in figures.items():
            validation.log_metric(name, value)
        return (content,)

    return train


def beside(work: str, name: str) -> Path:
    """Where a pod keeps what it can make or fetch again: beside unfinished trainings on their volume, or in /tmp."""
    return Path(tempfile.gettempdir() if work.startswith("s3://") else work, name)


def refuse_unless(passed: bool) -> None:
    """Stop, with an `InputError`, where the data gate did not pass; it has succeeded so that its report can be read."""
    from sss_model.errors import InputError

    if not passed:
        raise InputError("the data did not pass the gate; expected a pass, see the report of the step before")


def outcome(checkpoint: Path) -> tuple[str, dict[str, float]]:
    """The SHA-256 of a checkpoint's weights, and what a list of runs shows of its training."""
    from components.records import read_record
    from sss_model.files import sha256

    meta = read_record(checkpoint / "meta.json", "val_dice", "val_dice_per_class", "steps", "minutes")
    figures = {"Dice, validation": meta["val_dice"], "steps": meta["steps"], "minutes": meta["minutes"]}
    figures |= {f"Dice {name}, validation": dice for name, dice in meta["val_dice_per_class"].items()}
    return sha256(checkpoint / "weights.pt"), {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
