"""The step ``train``: manifest and recipe in, checkpoint out, its curves in MLflow while it learns."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer


def run(
    *,
    params: Path,
    data_dir: Path,
    manifest: Path,
    data_version: Path,
    output: Path,
    work_root: Path = Path(".runs"),
    cache_dir: Path = Path(".cache"),
) -> None:
    """Train the recipe on the data, going on where a killed training of the same recipe, data and code was.

    Args:
        params: the recipe.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        manifest, data_version: what the step version-data wrote.
        output: the checkpoint's folder.
        work_root: keeps the state of unfinished trainings, one folder each.
        cache_dir: keeps preprocessed slices.

    Raises:
        InputError: something in the inputs can't be used, or another process is at the same training.
        SystemExit: 143 after SIGTERM, once the state is saved.
    """
    from components.records import read_record, write_record
    from components.tracking import LiveRun
    from sss_model.config import load_config
    from sss_model.files import sha256
    from sss_model.identity import training_identity
    from sss_model.manifest import read_manifest

    config = load_config(params)
    cases = read_manifest(manifest)
    version = read_record(data_version, "version")["version"]
    content = sha256(manifest)
    work_dir = work_root / training_identity(config, data_version=version, manifest_sha256=content)
    # Seconds of imports, after what can be refused at once.
    from sss_model.train import train

    live = LiveRun(config.register_as.experiment, name=config.train.method, record=work_dir / "tracking.json")
    # Under torchrun every process trains, and the first one speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    with _alone(work_dir) if first else nullcontext(), live if first else nullcontext():
        train(
            config,
            data_dir=data_dir,
            manifest=cases,
            output=output,
            work_dir=work_dir,
            cache_dir=cache_dir,
            data_version=version,
            manifest_sha256=content,
            on_metrics=live.log if first else lambda step, scalars: None,
        )
    if first:
        write_record(output / "tracking.json", live.as_record())
        # Who trains the same again starts a new run.
        shutil.rmtree(work_dir, ignore_errors=True)


def command(
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    params: Annotated[Path, typer.Option(help="Recipe to train.")] = Path("params.yaml"),
    manifest: Annotated[Path, typer.Option(help="Its manifest, from version-data.")] = Path("manifest.csv"),
    data_version: Annotated[Path, typer.Option(help="Its version, from version-data.")] = Path("data_version.json"),
    output: Annotated[Path, typer.Option(help="Checkpoint folder to write.")] = Path("checkpoint"),
) -> None:
    """Train a model on the labelled and the unlabelled scans of a manifest.

    A training that was killed goes on where it was when the same command is typed again. Its curves are in MLflow while
    it learns.

    Example: sss train --data-dir data/phantom --params params.yaml
    """
    run(params=params, data_dir=data_dir, manifest=manifest, data_version=data_version, output=output)


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


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
