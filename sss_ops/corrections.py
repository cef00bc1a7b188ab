"""``sss export corrections`` and ``sss import corrections``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError
from sss_ops.command_line import new_app

if TYPE_CHECKING:
    from sss_model.config import Config
    from sss_model.corrections.incorporate import Imported

_MOST_SENTENCES = 3

export_app = new_app(help="Write files for other programs.")


# Without it typer would take the only command for the whole group.
@export_app.callback()
def _group() -> None:
    pass


@export_app.command("corrections")
def export_command(
    model: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Checkpoint folder, models:/NAME@ALIAS or models:/NAME/VERSION.")
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data set in the canonical layout, data/NAME.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for scans and masks.")],
    cases: Annotated[
        Path | None, typer.Option(help="CSV file whose column case says which scans; all unlabelled ones if not given.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many scans at most, the first ones.")] = None,
) -> None:
    """Write unlabelled training scans and the model's masks for ITK-SNAP or 3D Slicer, to be corrected there.

    Example: sss export corrections checkpoint data/acdc to_correct --count 10
    """
    from sss_model.corrections.export import export_corrections, listed_cases
    from sss_ops.prediction.checkpoints import checkpoint_folder

    listed = listed_cases(cases) if cases else None
    with checkpoint_folder(model) as checkpoint:
        export = export_corrections(checkpoint, data, output, cases=listed, count=count, tell=typer.echo)
    typer.echo(f"{output}: {len(export.rows)} scans with masks to correct, see {output / 'README.txt'}")
    typer.echo(f"then: sss import corrections {output} {data}")


def import_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What sss export corrections wrote, corrected.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The data set that it came from, data/NAME.")],
    params: Annotated[Path, typer.Option(help="Recipe whose section data_checks the new labels must pass.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Make labels of the masks that were corrected or confirmed: training cases only, if they pass the data checks, all
    or none.

    Example: sss import corrections to_correct data/acdc
    """
    from sss_model.config import load_config
    from sss_model.corrections.incorporate import import_corrections

    config = load_config(params)
    others: list[str] = []

    def check(staged: Path, names: Sequence[str]) -> None:
        others.extend(check_labels(staged, names, config))

    imported = import_corrections(folder, data, check=check)
    typer.echo(_text(imported, config.data.labelled))
    for sentence in others:
        typer.secho(f"warning: the data checks also say: {sentence}", fg="yellow", err=True)


def _text(imported: Imported, labelled: int | None) -> str:
    added = imported.added
    corrected = sum(one.status == "corrected" for one in added)
    counted = f"{len(added)} label{'' if len(added) == 1 else 's'} added"
    lines = [
        f"{imported.dataset}: {counted} ({corrected} corrected, {len(added) - corrected} confirmed), "
        f"{len(imported.as_before)} there before, {len(imported.left)} left out"
    ]
    lines += [
        f"  {one.case}: {one.status}, {one.changed_voxels:,} voxels differ from the model's mask" for one in added
    ]
    if not added:
        return lines[0]
    lines.append(f"training patients with labels: {imported.labelled_before} -> {imported.labelled_now}")
    if labelled is not None and labelled < imported.labelled_now:
        lines.append(
            f"data.labelled is {labelled}, and the new patients are the last in label order: "
            f"{imported.labelled_now}, or null, uses all of them"
        )
    parent = imported.dataset.parent
    lines.append("next: sss data add" + ("" if parent == Path("data") else f" {parent}"))
    return "\n".join(lines)


def check_labels(folder: Path, cases: Sequence[str], config: Config) -> list[str]:
    """Run the data checks on a data set that got new labels.

    Args:
        folder: the data set with the new labels.
        cases: those that have one.
        config: the recipe whose section ``data_checks`` counts.

    Returns:
        Failures that name none of the cases: no reason to refuse their labels.

    Raises:
        InputError: one of the cases fails a check.
    """
    # Great Expectations takes seconds to import.
    from sss_model.data.manifest import build_manifest
    from sss_ops.data_checks.judge import check_data

    sentences = check_data(build_manifest(folder), config, folder).sentences
    ours = [sentence for sentence in sentences if any(_names(sentence, case) for case in cases)]
    if ours:
        shown = "; ".join(ours[:_MOST_SENTENCES]) + ("; …" if len(ours) > _MOST_SENTENCES else "")
        raise InputError(f"new labels fail the data checks ({shown}); expected masks that pass, nothing was imported")
    return sentences


def _names(sentence: str, case: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(case)}(?![\w-])", sentence) is not None
