"""Training on several GPUs of one node (torchrun) and on several nodes (a Kubeflow ``TrainJob``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from sss_ops.steps.train import identity_of_training, train


def train_in_pod(*, work: str, gpus: int, nodes: int, trainer: dict[str, Any], image: str, **inputs: Path) -> None:
    """Run the step ``train`` in a pod: in this process, in one process a GPU, or on several nodes.

    Args:
        inputs: params, data_dir, manifest, data_version and output, as `train` takes them.
        work: the mounted volume or ``s3://bucket/prefix`` that keeps unfinished trainings.
        gpus: GPUs of a node; 0 trains on CPUs.
        nodes, trainer, image: see `train_on_nodes`.

    Raises:
        InputError: something in the inputs can't be used.
        SystemExit: the training failed in another process or pod; the reason is in the log.
    """
    if nodes > 1:
        train_on_nodes(**inputs, work=work, nodes=nodes, trainer=trainer, image=image)
    elif gpus > 1:
        train_on_gpus(**inputs, work=work, gpus=gpus)
    else:
        train(**inputs, work=work, **_caches(work))


def train_on_gpus(*, params: Path, work: str, gpus: int, **inputs: Path) -> None:
    """Train in one process a GPU, under torchrun.

    Raises:
        SystemExit: with torchrun's exit status where it is not 0; the reason is in the log above.
    """
    from sss_ops.storage.parent_model import pinned_recipe

    with pinned_recipe(params) as exact:
        options = _options(params=exact, **inputs, work=work, **_caches(work))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"]
        status = subprocess.run([*command, "-m", "sss_ops", "train", *options]).returncode
    if status:
        raise SystemExit(status)


def train_on_nodes(
    *, params: Path, output: Path, work: str, nodes: int, trainer: dict[str, Any], image: str, **inputs: Path
) -> None:
    """Train on several nodes at once: share the inputs, follow the job and take the checkpoint back.

    Args:
        params, output, inputs: as `sss_ops.steps.train.train` takes them.
        work: a volume that every node mounts; inputs, unfinished state and the checkpoint lie there meanwhile.
        nodes: how many.
        trainer: where the nodes' pods can run, from `sss_ops.cluster.placement`.
        image: the image they run.

    Raises:
        InputError: the job can't be launched; its reason is in the sentence.
        SystemExit: 1, after one sentence on stderr, where the training failed or its pods did not start.
    """
    from sss_ops.storage.parent_model import pinned_recipe

    with pinned_recipe(params) as exact:
        _launch({"params": exact, **inputs}, output=output, work=work, nodes=nodes, trainer=trainer, image=image)


def _launch(
    inputs: dict[str, Path], *, output: Path, work: str, nodes: int, trainer: dict[str, Any], image: str
) -> None:
    from sss_model.config import load_config
    from sss_ops.cluster.trainjob_launch import run_training_job
    from sss_ops.cluster.trainjob_watch import TrainingJobError
    from sss_ops.storage.parent_model import parent_of
    from sss_ops.storage.pretrained import pretrained_file

    caches = _caches(work)
    # Here, so that weights which can't be had are said before nodes are asked for; the nodes find them on the volume.
    config = load_config(inputs["params"])
    pretrained, parent = pretrained_file(config.model, caches["checkpoints"]), parent_of(config)
    identity = identity_of_training(
        **{name: path for name, path in inputs.items() if name != "data_dir"}, pretrained=pretrained, parent=parent
    )
    shared = Path(work, f"{identity}-shared")
    # The identity leaves out what of a recipe changes no weight, such as the experiment: an earlier one may differ.
    places = {name: _share(path, shared / name / path.name, anew=name == "params") for name, path in inputs.items()}
    options = _options(**places, output=shared / "checkpoint", work=work, **caches)
    try:
        run_training_job(
            identity=identity, image=image, nodes=nodes, placement=trainer, arguments=options, environment={}
        )
    except TrainingJobError as error:
        raise SystemExit(f"error: {error}") from None
    shutil.copytree(shared / "checkpoint", output)
    shutil.rmtree(shared)


def _caches(work: str) -> dict[str, Path]:
    """Folders for what a pod can make or fetch again: beside unfinished trainings on their volume, or in /tmp."""
    folder = Path(tempfile.gettempdir() if work.startswith("s3://") else work)
    return {"cache": folder / "cache", "checkpoints": folder / "checkpoints"}


def _options(**values: Path | str) -> list[str]:
    """The command line of ``sss train`` for its options' values."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]


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
