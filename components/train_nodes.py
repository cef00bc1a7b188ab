"""Training over several nodes: the launching pod shares its inputs, follows the job and takes the checkpoint back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any


def run(
    *,
    params: Path,
    data_dir: Path,
    manifest: Path,
    data_version: Path,
    output: Path,
    work: str,
    nodes: int,
    trainer: dict[str, Any],
    image: str,
) -> None:
    """Train as `components.train.run` does, on several nodes at once.

    Args:
        params, data_dir, manifest, data_version, output: see `components.train.run`.
        work: a volume that every node mounts; inputs, unfinished state and the checkpoint lie there meanwhile.
        nodes: how many.
        trainer: where the nodes' pods can run, from `components.placement`.
        image: the image they run.

    Raises:
        InputError: the job can't be launched, or failed; its reason is in the sentence.
    """
    from components.train import cache_beside, identity_of
    from components.train_processes import options_of
    from components.trainjob import run_training_job

    identity = identity_of(params=params, manifest=manifest, data_version=data_version)
    shared = Path(work, f"{identity}-shared")
    inputs = {"params": params, "data_dir": data_dir, "manifest": manifest, "data_version": data_version}
    places = {name: _share(path, shared / name / path.name) for name, path in inputs.items()}
    options = options_of(**places, output=shared / "checkpoint", work=work, cache=cache_beside(work))
    run_training_job(
        identity=identity,
        image=image,
        nodes=nodes,
        placement=trainer,
        arguments=options,
        environment={name: os.environ[name] for name in ("MLFLOW_TRACKING_URI", "SSS_IMAGE_DIGEST")},
    )
    shutil.copytree(shared / "checkpoint", output)
    shutil.rmtree(shared)


def _share(source: Path, target: Path) -> Path:
    """Copy a file or folder to the volume, replacing what an earlier attempt left there."""
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    return target
