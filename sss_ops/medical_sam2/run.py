"""Run one of Medical-SAM2's command lines: import, train, evaluate and report in ``runs/EXP_NAME``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically, write_json
from sss_ops.command_line import run_app

RUNS = Path("runs")
CACHE = Path(".cache")


def canonical_copy(layout: str, source: Path, cache: Path) -> Path:
    """Import a raw data set, once, into a canonical copy; the raw one is never written to.

    Args:
        layout: one of `sss_model.data.importing.LAYOUTS`.
        source: the raw data set, a folder or zip file; one that is canonical already is given back.
        cache: keeps the copies, one folder for each state of each source.

    Raises:
        InputError: nothing is there, it is not of that layout, or the copy would lie inside of it.
    """
    from sss_model.data.importing import import_dataset
    from sss_model.data.inventory import source_state

    if not source.exists():
        raise InputError(f"-data_path: {source} is not there; expected a folder or zip file of {layout}")
    if (source / "dataset.json").is_file() and (source / "splits.csv").is_file():
        return source
    refuse_inside(source, cache)
    copy = cache / source_state(source)[:16] / layout
    if not copy.is_dir():
        print(f"reading {source}, once, into {copy}", flush=True)
        try:
            print(import_dataset(layout, source, copy), flush=True)
        finally:
            # Of a source that can't be used not even a folder stays; where an import is cut off, its work does.
            with suppress(OSError):
                copy.parent.rmdir()
    return copy


def refuse_inside(source: Path, folder: Path) -> None:
    """Refuse a folder that lies below the raw data, with an `InputError`."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"-data_path: {source} holds {folder}, which would be written to; expected to be started from elsewhere"
        )


def main(dimensions: int) -> None:
    """Run the command line of this process; input that can't be used ends in one sentence and exit code 2."""
    run_app(lambda: run(dimensions, sys.argv[1:]))


def run(dimensions: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Train, evaluate and report.

    Args:
        dimensions: 2 for ``train_2d.py``, 3 for ``train_3d.py``.
        arguments: the words after the script's name.

    Returns:
        The content of ``runs/EXP_NAME/evaluation/summary.json``.

    Raises:
        InputError: a flag, the data or the weights can't be used, or the run has been finished before.
    """
    from sss_ops.medical_sam2.flags import read_flags

    chosen = read_flags(dimensions, arguments)
    folder = RUNS / chosen["exp_name"]
    if (folder / "metrics.json").exists():
        raise InputError(f"-exp_name: {folder} holds a finished run; expected another name, or that folder gone")
    gpu = _see_gpu(chosen)
    data_dir = _prepare(chosen, folder, gpu=gpu)
    _train(folder, data_dir)
    return _evaluate(chosen, folder, data_dir)


def _see_gpu(chosen: dict[str, Any]) -> bool:
    """Let this process see the GPU that was asked for; returns whether there is one."""
    if not chosen.get("gpu", True):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif "gpu_device" in chosen:
        # A scheduler may have given us some of the machine's GPUs: ours are counted among them.
        ours = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        number = chosen["gpu_device"]
        if ours[0] and number >= len(ours):
            raise InputError(f"-gpu_device: {number} is none of the {len(ours)} GPUs in CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = ours[number] if ours[0] else str(number)
    import torch

    found = torch.cuda.is_available()
    if chosen.get("gpu_device", 0) and chosen.get("gpu", True) and not found:
        raise InputError(f"-gpu_device: no GPU {chosen['gpu_device']} is seen; expected the number of one that is")
    print(f"trains on {torch.cuda.get_device_name() if found else 'the CPU'}", flush=True)
    return found


def _prepare(chosen: dict[str, Any], folder: Path, *, gpu: bool) -> Path:
    """Write recipe, manifest and data version into the run's folder; returns the canonical data set."""
    import yaml

    from sss_model.config import dump_config
    from sss_model.data.manifest import build_manifest, write_manifest
    from sss_ops.medical_sam2.settings import fitted, settled
    from sss_ops.storage.pretrained import pretrained_file

    config = settled(chosen, gpu=gpu)
    # Refuses wrong weights before scans are read, which may take minutes.
    pretrained_file(config.model)
    if config.model.checkpoint is None:
        print("no -sam_ckpt: the network starts from random weights", flush=True)
    source = chosen["data_path"]
    refuse_inside(source, folder)
    data_dir = canonical_copy(chosen["dataset"].lower(), source, CACHE / "raw")
    manifest = build_manifest(data_dir)
    config = fitted(config, chosen, manifest, hounsfield=_below_zero(data_dir / manifest.cases[0].image))
    write_manifest(manifest, folder / "manifest.csv")
    found = sha256(folder / "manifest.csv")
    # DVC doesn't track raw data: the manifest, which holds every file's hash, names their version.
    record = {"name": config.data.name, "version": found[:32], "manifest_sha256": found, "labels": manifest.labels}
    write_json(folder / "data_version.json", record)
    recipe = yaml.safe_dump(dump_config(config), sort_keys=False)
    write_atomically(folder / "recipe.yaml", recipe.encode())
    return data_dir


def _below_zero(scan: Path) -> bool:
    """Whether a scan has intensities below zero, as air has in Hounsfield units."""
    from sss_model.io.volumes import read_volume

    return bool(read_volume(scan).array.min() < 0)


def _train(folder: Path, data_dir: Path) -> None:
    from sss_ops.steps.train import train

    if _is_trained(folder):
        print(f"{folder / 'checkpoint'}: is trained; goes on with the evaluation", flush=True)
        return
    train(
        params=folder / "recipe.yaml",
        data_dir=data_dir,
        manifest=folder / "manifest.csv",
        data_version=folder / "data_version.json",
        output=folder / "checkpoint",
        cache=CACHE,
    )


def _is_trained(folder: Path) -> bool:
    """Whether an earlier run of the same recipe on the same data was killed after its training."""
    from sss_model.checkpoint import load_checkpoint
    from sss_model.config import load_config

    if not (folder / "checkpoint").is_dir():
        return False
    meta = load_checkpoint(folder / "checkpoint").meta
    same = load_config(folder / "recipe.yaml"), sha256(folder / "manifest.csv")
    return (meta.config, meta.manifest_sha256) == same


def _evaluate(chosen: dict[str, Any], folder: Path, data_dir: Path) -> dict[str, Any]:
    from sss_ops.steps.evaluate import evaluate

    output = folder / "evaluation"
    # Before `metrics.json`, which says that a run is finished.
    oracle = _oracle_line(chosen, folder, data_dir) if {"prompt", "prompt_freq"} & chosen.keys() else None
    summary = evaluate(
        checkpoint=folder / "checkpoint",
        data_dir=data_dir,
        manifest=folder / "manifest.csv",
        predictions=folder / "predictions",
        output=output,
        metrics=folder / "metrics.json",
    )
    print(_dice_line(summary))
    if oracle:
        print(oracle)
    print(f"report: {output / 'report.html'}")
    if chosen.get("vis"):
        print(f"pictures: {output / 'overlays'}")
    return summary


def _dice_line(summary: dict[str, Any]) -> str:
    classes = ", ".join(f"{name} {_text(measures['dice'])}" for name, measures in summary["per_class"].items())
    return (
        f"promptless Dice {_text(summary['dice'])} on {summary['cases']} test scans ({classes}), "
        f"prompt_source: {summary['prompt_source']}"
    )


def _oracle_line(chosen: dict[str, Any], folder: Path, data_dir: Path) -> str:
    """Measure what prompts from the test labels would give, beside what counts; the rows go to ``oracle.csv``."""
    from sss_model.config import load_config
    from sss_model.data.manifest import read_manifest
    from sss_model.evaluation.oracle import oracle_scores
    from sss_model.evaluation.summary import aggregate
    from sss_model.evaluation.tables import write_scores

    config, every = load_config(folder / "recipe.yaml"), chosen.get("prompt_freq", 2)
    if config.train.method != "sss" or not config.sss.memory:
        return f"oracle-prompted Dice: none, since method {config.train.method} takes no prompt (-method sss does)"
    if chosen.get("prompt") == "click":
        return "oracle-prompted Dice: not there for clicks yet, since the network has learned from boxes (-prompt bbox)"
    manifest = read_manifest(folder / "manifest.csv")
    scores = oracle_scores(folder / "checkpoint", data_dir=data_dir, manifest=manifest, every=every)
    write_scores(scores, folder / "oracle.csv")
    summary = aggregate(scores)
    return (
        f"oracle-prompted Dice {_text(summary['dice'])}, boxes of the test labels on one slice in {every}, "
        f"prompt_source: {summary['prompt_source']}; no promotion rests on it"
    )


def _text(dice: float | None) -> str:
    return "not applicable" if dice is None else f"{dice:.3f}"
