"""``sss curve``: Dice against the number of labelled patients, from trainings at several label budgets."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sss_model.files import write_atomically

if TYPE_CHECKING:
    from sss_model.config import Config


class Split(StrEnum):
    val = "val"
    test = "test"


class Method(StrEnum):
    supervised = "supervised"
    weak_to_strong = "weak_to_strong"
    unimatch = "unimatch"
    sss = "sss"


def curve(
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    labelled: Annotated[list[int], typer.Option(help="Label budget in patients; give it several times.")],
    params: Annotated[Path, typer.Option(help="Recipe to train.")] = Path("params.yaml"),
    method: Annotated[
        list[Method] | None,
        typer.Option(help="How to learn, several times for several lines; unimatch on its U-Net. Else the recipe's."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a point: seeds 0 and on.")] = 1,
    split: Annotated[Split, typer.Option(help="Whom to score; decide on val, look at test once.")] = Split.val,
    output: Annotated[Path, typer.Option(help="Folder to write the curve into.")] = Path("curve"),
) -> list[dict[str, Any]]:
    """Train at several label budgets and draw Dice against labelled patients.

    Finished trainings are kept; the same command continues where it was.

    Example: sss curve --data-dir data/acdc --params configs/cpu/acdc.yaml --labelled 1 --labelled 3 --labelled 7
    \f
    Returns:
        One row a method and label budget: ``method``, ``labelled``, ``dice``, ``deviation``, ``seeds``, ``steps``.

    Raises:
        InputError: the recipe or the data can't be used, or there are fewer labelled patients than asked for.
    """
    import pandas as pd

    from sss_model.data.manifest import cohort
    from sss_ops.experiments.cells import StudyData, cell, print_table, spread

    # What is wrong with the last training should be said before the first one.
    trainings = _trainings(params, labelled, method, seeds)
    dataset = StudyData.open(data_dir)
    for patients in labelled:
        cohort(dataset.manifest, patients)
    rows = []
    for (name, patients), configs in trainings.items():
        cells = [cell(config, dataset, split=split.value, results=output / "cells.jsonl") for config in configs]
        rows.append({"method": name, "labelled": patients, **spread(cells)})
        table = pd.DataFrame(rows)
        # After every point, so that a long curve can be watched as it grows.
        write_atomically(output / "curve.csv", table.to_csv(index=False).encode())
        write_atomically(output / "curve.svg", _drawn(table, split.value))
    print_table(f"{data_dir.name}, {split.value}", rows, ["method", "labelled", "dice", "deviation", "seeds", "steps"])
    typer.echo(output / "curve.svg")
    return rows


def _trainings(
    params: Path, labelled: list[int], method: list[Method] | None, seeds: int
) -> dict[tuple[str, int], list[Config]]:
    """By method and label budget, a recipe for each seed."""
    from sss_model.config import load_config
    from sss_ops.experiments.cells import by_method

    recipe = load_config(params)
    methods = [one.value for one in method or []] or [recipe.train.method]
    return {
        (name, patients): [
            load_config(params, {**by_method(name, recipe), "data.labelled": patients, "seed": seed})
            for seed in range(seeds)
        ]
        for name, patients in product(methods, sorted(set(labelled)))
    }


def _drawn(table: Any, split: str) -> bytes:
    import io

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for method, points in table.groupby("method", sort=False):
        deviation = points["deviation"].astype(float).fillna(0.0)
        axes.errorbar(points["labelled"], points["dice"], deviation, marker="o", capsize=3, label=method)
    axes.set(xlabel="labelled patients", ylabel=f"Dice, {split}", xticks=sorted(table["labelled"].unique()))
    axes.grid(alpha=0.3)
    axes.legend()
    drawn = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sss"}):  # text as text, the same bytes every time
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
