"""One cell of a table: a recipe trained once, then scored on a split.

A killed cell continues where it was. A finished one is a row of a results file, found again by recipe and data, so that
a table can be filled over many days; its column `code` says whether other code trained it. A recipe that differs from a
trained one only in the views that a prediction averages takes over its weights.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sss_model.checkpoint import load_checkpoint, read_meta, save_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest, build_manifest, cohort, read_manifest, write_manifest
from sss_model.evaluation.evaluate import evaluate
from sss_model.files import sha256, write_atomically
from sss_model.inference.predictor import Predictor
from sss_model.training.identity import recipe_identity, training_identity
from sss_model.training.quality_calibration import calibrate
from sss_model.training.train import train
from sss_ops.storage.pretrained import pretrained_file

_WORK = Path(".runs/cells")
_CACHE = Path(".cache")
_VIEWS = ("flips", "rotations")
"""Keys of the section `predict` that only prediction uses: other values need no other training."""


@dataclass(frozen=True)
class StudyData:
    """Scans and their manifest, read once for all cells of a table."""

    folder: Path
    manifest: Manifest
    sha256: str

    @classmethod
    def open(cls, folder: Path) -> StudyData:
        _WORK.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_WORK) as temporary:
            path = Path(temporary) / "manifest.csv"
            write_manifest(build_manifest(folder), path)
            return cls(folder, read_manifest(path), sha256(path))


def by_method(method: str, recipe: Config) -> dict[str, Any]:
    """The changes to a recipe for another method; UniMatch trains the U-Net of its authors."""
    other = method == "unimatch" != recipe.train.method
    return {"train.method": method, **({"model.network": "unet"} if other else {})}


def cell(config: Config, data: StudyData, *, split: str, results: Path, fresh: bool = False) -> dict[str, Any]:
    """Return the figures of one row of a table: found in `results` (JSON lines), or trained, scored and added.

    Of several rows of this recipe and data one that the present code trained comes first, else the newest.

    Args:
        fresh: train again where only other code has a row.

    Returns:
        The row, and in `code` "this", or "other" and the revision that trained it.
    """
    identity, recipe = _identity(config, data), _recipe(config, data)
    known = [row for row in _known(results) if row.get("recipe") == recipe and row["split"] == split]
    if same := [row for row in known if row["identity"] == identity]:
        return same[-1] | {"code": "this"}
    if known and not fresh:
        return known[-1] | {"code": f"other, {known[-1]['revision'][:9]}"}
    row = {"identity": identity, "recipe": recipe, **_scored(config, data, split=split)}
    row["date"] = datetime.now(UTC).date().isoformat()
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row | {"code": "this"}


def _known(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def _recipe(config: Config, data: StudyData) -> str:
    pretrained = pretrained_file(config.model)
    return recipe_identity(
        config, manifest_sha256=data.sha256, pretrained_sha256=sha256(pretrained) if pretrained else None
    )


def _identity(config: Config, data: StudyData) -> str:
    pretrained = pretrained_file(config.model)
    return training_identity(
        config,
        data_version="bench",
        manifest_sha256=data.sha256,
        pretrained_sha256=sha256(pretrained) if pretrained else None,
    )


def _trained(config: Config, data: StudyData) -> Path:
    """The checkpoint of a recipe: its own, the weights of one that averages other views, or a new one."""
    identity = _identity(config, data)
    checkpoint = _WORK / identity
    if checkpoint.exists():
        return checkpoint
    if twin := _twin(config, data):
        _with_other_views(config, data, twin, checkpoint)
    else:
        cost = _Cost(_cost_of(checkpoint))
        train(
            config,
            data_dir=data.folder,
            manifest=data.manifest,
            output=checkpoint,
            work_dir=_WORK / f"{identity}.work",
            cache_dir=_CACHE,
            data_version="bench",
            manifest_sha256=data.sha256,
            pretrained=pretrained_file(config.model),
            on_save=lambda folder: cost.write(),
        )
        cost.write()
    return checkpoint


def _twin(config: Config, data: StudyData) -> Path | None:
    """A checkpoint of this code and these data whose recipe differs only in the views that are averaged."""
    views = {name: getattr(config.predict, name) for name in _VIEWS}
    for meta in sorted(_WORK.glob("*/meta.json")):
        recipe = read_meta(meta).config
        if recipe.model_copy(update={"predict": recipe.predict.model_copy(update=views)}) != config:
            continue
        # The name of the folder holds code and data: this code trained it only if it gives the same name.
        if meta.parent.name == _identity(recipe, data):
            return meta.parent
    return None


def _with_other_views(config: Config, data: StudyData, twin: Path, checkpoint: Path) -> None:
    """Write the twin's weights as a checkpoint of the recipe, with its predicted quality calibrated anew."""
    trained = load_checkpoint(twin)
    val = cohort(data.manifest, config.data.labelled).val
    predictor = Predictor(trained.with_config(config))
    quality = calibrate(predictor, val, labels=data.manifest.labels, data_dir=data.folder)
    meta = trained.meta.model_copy(update={"config": config, "quality": quality})
    save_checkpoint(checkpoint, meta=meta, weights=trained.weights, history=trained.history.to_dict("records"))
    shutil.copy(_cost_of(twin), _cost_of(checkpoint))


class _Cost:
    """CPU-seconds of a training, those of killed processes up to their last saved state included."""

    def __init__(self, path: Path) -> None:
        self._path, self._before, self._began = path, _cost_in(path)["cpu_seconds"] or 0, _cpu_seconds()

    def write(self) -> None:
        seconds = round(self._before + _cpu_seconds() - self._began)
        write_atomically(self._path, json.dumps({"cpu_seconds": seconds, "machine": _machine()}).encode())


def _cost_of(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.cost.json")


def _cost_in(path: Path) -> dict[str, Any]:
    """``cpu_seconds`` of a training, and on which ``machine``; None where that wasn't kept."""
    return {"cpu_seconds": None, "machine": None} | (json.loads(path.read_text()) if path.exists() else {})


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _scored(config: Config, data: StudyData, *, split: str) -> dict[str, Any]:
    checkpoint = _trained(config, data)
    summary = evaluate(
        checkpoint,
        data_dir=data.folder,
        manifest=data.manifest,
        split=split,
        output=checkpoint / split,
        predictions=checkpoint / split / "predictions",
        metrics=checkpoint / split / "metrics.json",
    )
    meta = load_checkpoint(checkpoint).meta
    ssl4mis = summary["ssl4mis"]
    return {
        "dice": ssl4mis["dice"],
        "dice_per_class": {name: scores["dice"] for name, scores in ssl4mis["per_class"].items()},
        "jaccard": ssl4mis["jaccard"],
        "hd95_voxel": ssl4mis["hd95_voxel"],
        "asd_voxel": ssl4mis["asd_voxel"],
        "data": config.data.name,
        "split": split,
        "cases": summary["cases"],
        "method": meta.method,
        "network": config.model.network,
        "labelled": config.data.labelled,
        "encoder": config.model.encoder,
        "seed": config.seed,
        "steps": meta.steps,
        "best_step": meta.best_step,
        "minutes": meta.minutes,
        **_cost_in(_cost_of(checkpoint)),
        "size": config.data.size,
        **{name: getattr(config.predict, name) for name in _VIEWS},
        "revision": meta.git_revision,
        "prompt_source": summary["prompt_source"],
    }


def _machine() -> str:
    """The processor and the number of cores."""
    info = Path("/proc/cpuinfo")
    said = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line) if info.exists() else {}
    cpu = {name.strip(): value.strip() for name, value in said.items()}
    family = f", family {cpu['cpu family']}, model {cpu['model']}" if "cpu family" in cpu else ""
    return f"{cpu.get('model name', platform.processor() or platform.machine())}{family}, {os.cpu_count()} cores"


def spread(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of the Dice of some rows that differ in their seed."""
    dice = [row["dice"] for row in rows]
    return {
        "seeds": len(rows),
        "dice": mean(dice),
        "deviation": stdev(dice) if len(dice) > 1 else None,
        "steps": round(mean(row["steps"] for row in rows)),
    }


def over_seeds(rows: list[dict[str, Any]], *, baseline: str, means: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Mean and spread over seeds of each method with as many labelled patients, and by how much it is `ahead` of the
    baseline. Of the columns in ``means`` the mean alone."""
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["labelled"], row["method"], row["network"]), []).append(row)
    found = []
    for (labelled, method, network), group in groups.items():
        others = [row for row in rows if (row["labelled"], row["method"]) == (labelled, baseline)]
        found.append(
            {"labelled": labelled, "method": method, "network": network, **spread(group)}
            | {name: mean(row[name] for row in group) for name in means}
            | ahead(group, [] if method == baseline else others)
        )
    return found


def ahead(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> dict[str, Any]:
    """By how much the Dice of some rows is ahead of others', on the seeds that both have: mean and sample standard
    deviation of the differences; None where there are too few."""
    baseline = {row["seed"]: row["dice"] for row in others}
    gains = [row["dice"] - baseline[row["seed"]] for row in rows if row["seed"] in baseline]
    return {"ahead": mean(gains) if gains else None, "deviation of ahead": stdev(gains) if len(gains) > 1 else None}


def print_table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """A table of some columns of some rows."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(_shown(row[column]) for column in columns))
    console = Console()
    console.width = max(console.width, 160)  # figures cut short would be none
    console.print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
