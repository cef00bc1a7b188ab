"""``sss predict`` and ``sss suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_MODEL = "checkpoint folder, from train, or a registered model: models:/NAME@ALIAS or models:/NAME/VERSION"


def predict(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[CHECKPOINT] IN OUT",
            help=f"CHECKPOINT: {_MODEL}; left out with --model. IN: a .nii, .nii.gz or .png file, a folder (with all "
            "below it), or s3://BUCKET/PREFIX. OUT: a folder or s3://BUCKET/PREFIX for the masks; for one scan also "
            "the mask's file.",
        ),
    ],
    model: Annotated[str | None, typer.Option(help=f"In place of CHECKPOINT: {_MODEL}.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make masks anew that an earlier run made.")] = False,
    look_below: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Expected Dice below which to look; by default what the checkpoint found."),
    ] = None,
) -> None:
    """Segment scans, and tell which masks to look at.

    Each mask lies on its scan's own grid. The table, also in summary.csv beside the masks, has each class's volume, the
    Dice to expect, learned on validation patients, and what is unlike the training's scans. Run again, it goes on where
    it was. A scan that can't be segmented is told of at the end, with exit code 2.

    Example: sss predict --model models:/sss-acdc@champion scans masks
    """
    named, source, destination = _three(places, model)
    from components.predicting.model import opened
    from components.predicting.progress import ScanProgress
    from components.predicting.run import predict as predict_scans
    from components.predicting.summary import table

    with opened(named) as checkpoint, ScanProgress("predict") as progress:
        done = predict_scans(
            checkpoint,
            source,
            destination,
            replace=replace,
            look_below=look_below,
            on_row=lambda row, number, total: progress.show(f"{row.scan} {row.status}", number, total),
        )
    typer.echo(table(done.rows))
    typer.echo(done.told())
    done.refuse_failures()


def _three(places: list[str], model: str | None) -> tuple[str, str, str]:
    from sss_model.errors import InputError

    given = [*([model] if model else []), *places]
    if len(given) != 3:
        wanted = "IN and OUT beside --model" if model else "CHECKPOINT, IN and OUT, or --model with IN and OUT"
        raise InputError(f"{len(places)} places given ({' '.join(places)}); expected {wanted}")
    named, source, destination = given
    return named, source, destination
