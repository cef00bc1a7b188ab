"""BHSD: train by the recipe for GPUs and print Dice beside what is published.

    python -m bench.bhsd --data data/bhsd

Until someone has run it, its own row says so. What the paper's abstract states is all that is known of its protocol:
the official 96 training and 96 test scans, mean Dice over five kinds of haemorrhage. Only compare with that in mind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sss_ops.command_line import run_command

PUBLISHED = [
    {"method": "SSS, the paper (arXiv 2506.08949)", "dice": 0.5315},
    {"method": "best before it, as the paper says", "dice": 0.4950},
]


def command(
    data: Annotated[Path, typer.Option(help="What `sss import bhsd` wrote.")] = Path("data/bhsd"),
    recipe: Annotated[Path, typer.Option(help="The recipe to train.")] = Path("configs/bhsd.yaml"),
    split: Annotated[str, typer.Option(help="Whom to score: val, or test once all is decided.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed of weights, sampling and augmentation.")] = 0,
) -> None:
    """Train on BHSD, score without prompts, and print Dice beside the published figures.

    Without the scans it prints what is published, and that nobody has run ours.

    Example: python -m bench.bhsd --data data/bhsd
    """
    from sss_ops.experiments.cells import print_table

    ours = _row(data, recipe, split=split, seed=seed) if data.exists() else None
    rows: list[dict[str, Any]] = [{"method": "ours", "dice": "not run by us"} if ours is None else ours, *PUBLISHED]
    print_table(f"BHSD {split}, no prompts", rows, ["method", "dice"])
    if ours is None:
        print(f"{data} is not there: get the scans, `sss import bhsd SRC {data}`, and run this on a GPU")
    print(json.dumps({"ours": ours, "published": PUBLISHED}))


def _row(data: Path, recipe: Path, *, split: str, seed: int) -> dict[str, Any]:
    from bench import RESULTS
    from sss_model.config import load_config
    from sss_ops.experiments.cells import StudyData, cell

    return cell(load_config(recipe, {"seed": seed}), StudyData.open(data), split=split, results=RESULTS)


if __name__ == "__main__":
    run_command(command)
