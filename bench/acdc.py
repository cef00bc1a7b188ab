"""ACDC: train within a wall clock and score by the literature's protocol.

    python -m bench.acdc --labelled 7 --minutes 15 --method weak_to_strong --split val

Decide on ``--split val``; every look, and so every one at the test split, is appended to docs/results.jsonl.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from components.command_line import run_command


class Split(StrEnum):
    val = "val"
    test = "test"


class Method(StrEnum):
    supervised = "supervised"
    weak_to_strong = "weak_to_strong"
    unimatch = "unimatch"
    sss = "sss"


def command(
    labelled: Annotated[int, typer.Option(help="Labelled patients, in the literature's order.")] = 7,
    minutes: Annotated[float, typer.Option(help="Wall clock of the training, preprocessing included.")] = 15,
    method: Annotated[Method, typer.Option(help="How to learn.")] = Method.weak_to_strong,
    split: Annotated[Split, typer.Option(help="Whom to score: 10 or 20 patients.")] = Split.val,
    seed: Annotated[int, typer.Option(help="Seed of weights, sampling and augmentation.")] = 0,
    data: Annotated[Path, typer.Option(help="What `sss import acdc` wrote.")] = Path("data/acdc"),
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/acdc.yaml"),
) -> None:
    """Train on ACDC within a wall clock and score without prompts, by the SSL4MIS protocol.

    Example: python -m bench.acdc --labelled 7 --minutes 15 --method weak_to_strong --split val
    """
    from bench.cells import print_table, record, scored
    from sss_model.config import load_config

    config = load_config(
        recipe,
        {
            "seed": seed,
            "data.labelled": labelled,
            "train.method": method.value,
            "train.minutes": minutes,
            "train.steps": None,
        },
    )
    row = {**scored(config, data, split=split.value), "date": datetime.now(UTC).date().isoformat()}
    record(row)
    classes = {f"dice {name}": dice for name, dice in row["dice_per_class"].items()}
    columns = ["method", "labelled", "dice", *classes, "hd95_voxel", "asd_voxel", "steps", "minutes"]
    print_table(f"ACDC {split.value}, SSL4MIS protocol", [row | classes], columns)
    print(json.dumps(row))


if __name__ == "__main__":
    run_command(command)
