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
            metavar="PLACES",
            help=f"[CHECKPOINT] IN OUT. CHECKPOINT: {_MODEL}; left out with --model. IN: a .nii, .nii.gz or .png file, "
            "a folder (with all below it), or s3://BUCKET/PREFIX. OUT: a folder or s3://BUCKET/PREFIX for the masks; "
            "for one scan also the mask's file.",
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
    from sss_model.progress import ProgressBar
    from sss_ops.prediction.model import opened
    from sss_ops.prediction.predict import predict as predict_scans
    from sss_ops.prediction.summary import table

    with opened(named) as checkpoint, ProgressBar("predict", unit="items", stderr=True) as progress:
        done = predict_scans(
            checkpoint,
            source,
            destination,
            replace=replace,
            look_below=look_below,
            on_row=lambda row, number, total: progress.show(number, total=total, note=f"{row.scan} {row.status}"),
        )
    typer.echo(table(done.rows))
    typer.echo(done.told())
    done.refuse_failures()


def suggest(
    model: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=f"A {_MODEL}.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Imported data set, such as data/acdc.")],
    count: Annotated[int, typer.Option(min=1, help="How many scans to suggest.")] = 10,
    output: Annotated[Path, typer.Option(help="CSV file to write them to.")] = Path("suggestions.csv"),
) -> None:
    """Rank training scans without a label by what a label of them would be worth.

    First come those of which the model makes the worst masks, as far as it knows, and that are unlike the labelled ones
    and one another; of a patient one. Validation and test patients are never suggested.

    Example: sss suggest checkpoint data/acdc --count 5
    """
    from sss_model.errors import InputError
    from sss_model.files import write_atomically
    from sss_model.progress import ProgressBar
    from sss_ops.prediction.model import opened
    from sss_ops.prediction.suggest import suggest as rank
    from sss_ops.prediction.suggest import table_of
    from sss_ops.text_table import aligned, csv_bytes

    with opened(model) as checkpoint, ProgressBar("suggest", unit="items", stderr=True) as progress:
        found = rank(
            checkpoint,
            data,
            count=count,
            on_scan=lambda case, number, total: progress.show(number, total=total, note=case),
        )
    columns, rows = table_of(found.rows)
    write_atomically(output, csv_bytes(columns, rows))
    typer.echo("\n".join(aligned(columns[:-1], ([str(row[name]) for name in columns[:-1]] for row in rows))))
    what = "scans whose labels training did not see" if found.candidates.hidden else "scans without a label"
    typer.echo(f"{len(rows)} of {len(found.candidates.open)} {what}: {output}")
    if found.failed:
        raise InputError(f"{len(found.failed)} scans can't be read: {'; '.join(found.failed[:10])}")


def _three(places: list[str], model: str | None) -> tuple[str, str, str]:
    from sss_model.errors import InputError

    given = [*([model] if model else []), *places]
    if len(given) != 3:
        wanted = "IN and OUT beside --model" if model else "CHECKPOINT, IN and OUT, or --model with IN and OUT"
        raise InputError(f"{len(places)} places given ({' '.join(places)}); expected {wanted}")
    named, source, destination = given
    return named, source, destination
