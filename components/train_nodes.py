"""Training over several nodes: the launching pod shares its inputs, follows the job and takes the checkpoint back."""

from __future__ import annotations

import shutil
import uuid
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
        InputError: the job can't be launched; its reason is in the sentence.
        SystemExit: 1, after one sentence on stderr, where the training failed or its pods did not start.
    """
    from components.pretrained.parent import pinned

    with pinned(params) as exact:
        _launch(
            {"params": exact, "data_dir": data_dir, "manifest": manifest, "data_version": data_version},
            output=output,
            work=work,
            nodes=nodes,
            trainer=trainer,
            image=image,
        )


def _launch(
    inputs: dict[str, Path], *, output: Path, work: str, nodes: int, trainer: dict[str, Any], image: str
) -> None:
    from components.pretrained.parent import parent_of
    from components.pretrained.resolve import pretrained_file
    from components.train import beside, identity_of
    from components.train_processes import options_of
    from components.trainjob import TrainingJobError, run_training_job
    from sss_model.config import load_config

    checkpoints = beside(work, "checkpoints")
    # Here, so that weights which can't be had are said before nodes are asked for; the nodes find them on the volume.
    config = load_config(inputs["params"])
    pretrained, parent = pretrained_file(config.model, checkpoints), parent_of(config)
    identity = identity_of(
        **{name: path for name, path in inputs.items() if name != "data_dir"}, pretrained=pretrained, parent=parent
    )
    shared = Path(work, f"{identity}-shared")
    # The identity leaves out what of a recipe changes no weight, such as the experiment: an earlier one may differ.
    places = {name: _share(path, shared / name / path.name, anew=name == "params") for name, path in inputs.items()}
    options = options_of(
        **places, output=shared / "checkpoint", work=work, cache=beside(work, "cache"), checkpoints=checkpoints
    )
    try:
        run_training_job(
            identity=identity, image=image, nodes=nodes, placement=trainer, arguments=options, environment={}
        )
    except TrainingJobError as error:
        raise SystemExit(f"error: {error}") from None
    shutil.copytree(shared / "checkpoint", output)
    shutil.rmtree(shared)


def _share(source: Path, target: Path, *, anew: bool) -> Path:
    """Put a file or folder on the volume, whole, unless an earlier attempt, whose job may still run, has; a file also
    `anew`."""
    if target.exists() and not anew:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, partial)
    partial.rename(target)
    return target
