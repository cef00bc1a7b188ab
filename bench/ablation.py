"""Worth of each mechanism: from labelled slices alone to the whole of SSS, one more at a time.

    python -m bench.ablation --labelled 3 --minutes 15 --seeds 3

Cells are kept in docs/results.jsonl; a killed table goes on, a finished cell is never trained again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sss_ops.command_line import run_command

_PLAIN = {"train.method": "sss", "sss.enhancement": False, "sss.memory": False, "sss.channel_dropout": 0.0}
_FULL = {"train.method": "sss", "sss.channel_dropout": 0.5}
_BASELINE = "weak-to-strong"
LADDER: dict[str, dict[str, Any]] = {
    "supervised": {"train.method": "supervised"},
    _BASELINE: {"train.method": "weak_to_strong"},
    "+DFE": _PLAIN | {"sss.enhancement": True, "pcsw.enabled": False},
    "+PCSW": _PLAIN | {"sss.enhancement": True},
    "+memory": _PLAIN | {"sss.enhancement": True, "sss.memory": True},
    "full": _FULL,
    "full, in clips": _FULL | {"sss.clip_every": 10, "sss.memory_alone": 0.0, "pcsw.volume_checks": []},
}
"""Rows of the table: what each changes in the recipe. ``full`` adds complementary channel dropout, which the recipe for
CPUs leaves out. The last row judges clips instead of volumes, and its memory decoder learns along with the rest."""


def command(
    labelled: Annotated[int, typer.Option(help="Labelled patients, in the literature's order.")] = 3,
    minutes: Annotated[float, typer.Option(help="Wall clock of each training.")] = 15,
    seeds: Annotated[int, typer.Option(help="Seeds a row: 0 and on.")] = 3,
    split: Annotated[str, typer.Option(help="Whom to score: val, or test once all is decided.")] = "val",
    data: Annotated[Path, typer.Option(help="What `sss import acdc` wrote.")] = Path("data/acdc"),
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/cpu/acdc.yaml"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again where only other code has a row.")] = False,
) -> None:
    """Train SSS mechanism by mechanism, and print mean and spread over seeds, and how far each is ahead of
    weak-to-strong on the same ones.

    Example: python -m bench.ablation --labelled 3 --minutes 15 --seeds 3
    """
    from bench import RESULTS
    from sss_model.config import load_config
    from sss_ops.experiments.cells import StudyData, ahead, cell, print_table, spread

    budget = {"data.labelled": labelled, "train.minutes": minutes, "train.steps": None}
    # What is wrong with the last row should be said before the first training.
    trainings = {
        name: [load_config(recipe, {**budget, **changes, "seed": seed}) for seed in range(seeds)]
        for name, changes in LADDER.items()
    }
    dataset = StudyData.open(data)
    cells: dict[str, list[dict[str, Any]]] = {name: [] for name in trainings}
    # Seed by seed, so that a table that is cut short holds whole ladders.
    for seed in range(seeds):
        for name, configs in trainings.items():
            cells[name].append(cell(configs[seed], dataset, split=split, results=RESULTS, fresh=fresh))
    found = [{"mechanisms": name, **row} for name, taken in cells.items() for row in taken]
    title = f"ACDC {split}, {labelled} labelled patients, {minutes:g} minutes, SSL4MIS protocol"
    print_table(title, found, ["mechanisms", "seed", "dice", "steps", "code"])
    rows = [
        {"mechanisms": name, **spread(taken), **ahead(taken, [] if name == _BASELINE else cells[_BASELINE])}
        for name, taken in cells.items()
    ]
    columns = ["mechanisms", "seeds", "dice", "deviation", "ahead", "deviation of ahead", "steps"]
    print_table(f"{title}: over seeds, and ahead of {_BASELINE} on the same ones", rows, columns)
    print(json.dumps({"labelled": labelled, "minutes": minutes, "split": split, "rows": rows}))


if __name__ == "__main__":
    run_command(command)
