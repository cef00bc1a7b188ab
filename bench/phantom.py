"""The phantom: labelled-only against semi-supervised at equal steps.

python -m bench.phantom
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sss_ops.command_line import run_command


def command(
    data: Annotated[Path, typer.Option(help="What `sss import phantom` wrote.")] = Path("data/phantom"),
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("params.yaml"),
) -> None:
    """Show that the phantom has something to learn from its unlabelled scans.

    Example: python -m bench.phantom
    """
    from bench import RESULTS
    from sss_model.config import load_config
    from sss_ops.experiments.cells import StudyData, cell, print_table

    methods = ("supervised", "weak_to_strong")
    dataset = StudyData.open(data)
    recipes = [load_config(recipe, {"train.method": method}) for method in methods]
    rows = [cell(config, dataset, split="test", results=RESULTS) for config in recipes]
    print_table("Phantom, test patients", rows, ["method", "labelled", "dice", "steps", "minutes", "code"])
    print(json.dumps({"gain": round(rows[1]["dice"] - rows[0]["dice"], 4), "rows": rows}))


if __name__ == "__main__":
    run_command(command)
