"""ACDC: train within a wall clock and score by the literature's protocol.

    python -m bench.acdc --labelled 3 --labelled 7 --method sss --method weak_to_strong --seed 0 --seed 1 --seed 2

Methods are compared on the same seeds: what a seed does to one it partly does to another, and so does a machine. Decide
on ``--split val``. Every look at a split is a row of docs/results.jsonl. A row of the same recipe and data is found
again; the column `code` says whether other code trained it, and ``--fresh`` trains those again.
"""

from __future__ import annotations

import json
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from sss_ops.command_line import run_command
from sss_ops.experiments.curve import Method, Split


class NetworkChoice(StrEnum):
    sam2 = "sam2"
    unet = "unet"


def command(
    labelled: Annotated[list[int], typer.Option(help="Labelled patients, in the literature's order.")] = [7],  # noqa: B006
    minutes: Annotated[float, typer.Option(help="Wall clock of a training, preprocessing included.")] = 15,
    method: Annotated[list[Method], typer.Option(help="How to learn.")] = [Method.weak_to_strong],  # noqa: B006
    network: Annotated[
        NetworkChoice | None, typer.Option(help="Of what; sss needs sam2. [default: the recipe's; unet for unimatch]")
    ] = None,
    split: Annotated[Split, typer.Option(help="Whom to score: 10 or 20 patients.")] = Split.val,
    seed: Annotated[list[int], typer.Option(help="Seeds of weights, sampling and augmentation.")] = [0],  # noqa: B006
    data: Annotated[Path, typer.Option(help="What `sss import acdc` wrote.")] = Path("data/acdc"),
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/cpu/acdc.yaml"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again where only other code has a row.")] = False,
) -> None:
    """Train on ACDC within a wall clock and score without prompts, by the SSL4MIS protocol.

    Every option that is given twice gives a row for each of its values.

    Example: python -m bench.acdc --labelled 3 --labelled 7 --method sss --seed 0 --seed 1
    """
    from bench import RESULTS
    from sss_model.config import load_config
    from sss_ops.experiments.cells import StudyData, by_method, cell, over_seeds, print_table

    started, dataset = load_config(recipe), StudyData.open(data)
    rows = []
    for patients, how, number in product(labelled, method, seed):
        changes = {**by_method(how.value, started), "seed": number, "data.labelled": patients}
        changes |= {"model.network": network.value} if network else {}
        config = load_config(recipe, {**changes, "train.minutes": minutes, "train.steps": None})
        row = cell(config, dataset, split=split.value, results=RESULTS, fresh=fresh)
        rows.append(row | {f"dice {name}": dice for name, dice in row["dice_per_class"].items()})
    classes = [f"dice {name}" for name in rows[0]["dice_per_class"]]
    columns = [
        "labelled",
        "method",
        "network",
        "seed",
        "dice",
        *classes,
        "hd95_voxel",
        "asd_voxel",
        "steps",
        "minutes",
        "code",
    ]
    title = f"ACDC {split}, SSL4MIS protocol"
    print_table(title, rows, columns)
    summary = over_seeds(rows, baseline=Method.weak_to_strong, means=[*classes, "hd95_voxel"])
    columns = ["labelled", "method", "network", "seeds", "dice", "deviation", *classes, "hd95_voxel"]
    columns += ["ahead", "deviation of ahead", "steps"]
    print_table(f"{title}: over seeds, and ahead of {Method.weak_to_strong} on the same ones", summary, columns)
    print(json.dumps({"rows": rows, "over_seeds": summary}))


if __name__ == "__main__":
    run_command(command)
