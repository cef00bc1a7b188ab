"""``sss curve``: what more labelled patients are worth, from trainings at several label budgets."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer


class Split(StrEnum):
    val = "val"
    test = "test"


class Method(StrEnum):
    supervised = "supervised"
    weak_to_strong = "weak_to_strong"
    unimatch = "unimatch"
    sss = "sss"


def run(
    *,
    data_dir: Path,
    params: Path,
    labelled: list[int],
    methods: list[str],
    seeds: int,
    split: str,
    output: Path,
) -> list[dict[str, Any]]:
    """Train every method at every label budget, and write ``curve.csv``, ``curve.svg`` and ``cells.jsonl``.

    A finished training is found in ``cells.jsonl`` and not repeated; a killed one goes on where it was.

    Args:
        labelled: label budgets in patients.
        seeds: trainings a point, with seeds 0, 1 and so on.
        split: whom to score, ``val`` or ``test``.
        output: the folder to write into.

    Returns:
        One row a method and label budget: ``method``, ``labelled``, ``dice``, ``deviation``, ``seeds``, ``steps``.

    Raises:
        InputError: the recipe or the data can't be used, or there are fewer labelled patients than asked for.
    """
    import pandas as pd

    from sss_model.config import load_config
    from sss_model.data.manifest import cohort
    from sss_model.files import write_atomically
    from sss_ops.experiments.cells import Dataset, by_method, cell, spread

    recipe = load_config(params)
    # What is wrong with the last training should be said before the first one.
    trainings = [
        (
            (method, patients),
            [
                load_config(params, {**by_method(method, recipe), "data.labelled": patients, "seed": seed})
                for seed in range(seeds)
            ],
        )
        for method, patients in product(methods, sorted(set(labelled)))
    ]
    dataset = Dataset.open(data_dir)
    for patients in labelled:
        cohort(dataset.manifest, patients)
    rows = []
    for (method, patients), configs in trainings:
        cells = [cell(config, dataset, split=split, results=output / "cells.jsonl") for config in configs]
        rows.append({"method": method, "labelled": patients, **spread(cells)})
        table = pd.DataFrame(rows)
        # After every point, so that a long curve can be watched as it grows.
        write_atomically(output / "curve.csv", table.to_csv(index=False).encode())
        write_atomically(output / "curve.svg", _drawn(table, split))
    return rows


def command(
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
) -> None:
    """Train at several label budgets and draw Dice against labelled patients.

    Finished trainings are kept; the same command goes on where it was.

    Example: sss curve --data-dir data/acdc --params configs/cpu/acdc.yaml --labelled 1 --labelled 3 --labelled 7
    """
    from sss_model.config import load_config
    from sss_ops.experiments.cells import print_table

    methods = [one.value for one in method or []] or [load_config(params).train.method]
    rows = run(
        data_dir=data_dir,
        params=params,
        labelled=labelled,
        methods=methods,
        seeds=seeds,
        split=split.value,
        output=output,
    )
    print_table(f"{data_dir.name}, {split.value}", rows, ["method", "labelled", "dice", "deviation", "seeds", "steps"])
    typer.echo(output / "curve.svg")


def _drawn(table: Any, split: str) -> bytes:
    import io

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
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
