"""One cell of a benchmark: a recipe trained once, then scored on a split."""

from __future__ import annotations

import json
import resource
import tempfile
from pathlib import Path
from typing import Any

from components.pretrained.resolve import pretrained_file
from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config
from sss_model.evaluate import evaluate
from sss_model.files import sha256
from sss_model.identity import training_identity
from sss_model.manifest import Manifest, build_manifest, read_manifest, write_manifest
from sss_model.train import train

_WORK = Path(".runs/bench")
_CACHE = Path(".cache")


def trained(config: Config, data_dir: Path) -> tuple[Path, Manifest]:
    """The checkpoint of a recipe and the manifest it was trained by; an earlier one of the same recipe, data and code
    is used again, so that looking at another split trains nothing."""
    _WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_WORK) as folder:
        path = Path(folder) / "manifest.csv"
        write_manifest(build_manifest(data_dir), path)
        manifest, digest = read_manifest(path), sha256(path)
    pretrained = pretrained_file(config.model)
    identity = training_identity(
        config,
        data_version="bench",
        manifest_sha256=digest,
        pretrained_sha256=sha256(pretrained) if pretrained else None,
    )
    checkpoint = _WORK / identity
    if not checkpoint.exists():
        train(
            config,
            data_dir=data_dir,
            manifest=manifest,
            output=checkpoint,
            work_dir=_WORK / f"{identity}.work",
            cache_dir=_CACHE,
            data_version="bench",
            manifest_sha256=digest,
            pretrained=pretrained,
        )
        usage = resource.getrusage(resource.RUSAGE_SELF)
        (checkpoint / "cost.json").write_text(json.dumps({"cpu_seconds": round(usage.ru_utime + usage.ru_stime)}))
    return checkpoint, manifest


def scored(config: Config, data_dir: Path, *, split: str) -> dict[str, Any]:
    """Train, or find, the recipe's checkpoint and score it: the figures of one row of a table."""
    checkpoint, manifest = trained(config, data_dir)
    summary = evaluate(
        checkpoint,
        data_dir=data_dir,
        manifest=manifest,
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
        "split": split,
        "cases": summary["cases"],
        "method": meta.method,
        "labelled": config.data.labelled,
        "encoder": config.model.encoder,
        "seed": config.seed,
        "steps": meta.steps,
        "best_step": meta.best_step,
        "minutes": meta.minutes,
        "cpu_seconds": json.loads((checkpoint / "cost.json").read_text())["cpu_seconds"],
        "revision": meta.git_revision,
        "prompt_source": summary["prompt_source"],
    }


def record(row: dict[str, Any], results: Path = Path("docs/results.jsonl")) -> None:
    """Append a look at a split to the results kept in git."""
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")


def print_table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """A table of some columns of some rows."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(f"{row[column]:.4f}" if isinstance(row[column], float) else str(row[column]) for column in columns)
        )
    console = Console()
    console.width = max(console.width, 120)  # figures cut short would be none
    console.print(table)
