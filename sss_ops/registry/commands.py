"""``sss promote``, ``sss rollback``, ``sss release`` and ``sss registry``."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_ops.registry.listing import Row
from sss_ops.text_table import aligned

if TYPE_CHECKING:
    from sss_ops.registry.listing import Listing
    from sss_ops.registry.promote import Trial
    from sss_ops.registry.promotion_rules import Line


# The registry's answers as tables in plain text.


def trial_table(trial: Trial) -> str:
    """Champion and challenger, class by class."""
    against = f"version {trial.champion} (champion)" if trial.champion else "no champion: the absolute gate alone"
    verdict = trial.verdict
    head = f"{trial.name} version {trial.version} against {against}"
    head += f", Dice on {verdict.cases} scans of {verdict.patients} test patients"
    columns = ["class", "champion", "challenger", "difference", "interval", "margin", "verdict"]
    return "\n".join([head, *aligned(columns, map(_trial_row, verdict.lines))])


def listing_table(listing: Listing) -> str:
    """A model's versions, then what is wrong."""
    columns = [field.name for field in fields(Row)]
    lines = [listing.name, *aligned(columns, (list(asdict(row).values()) for row in listing.rows))]
    lines += [f"warning: {warning}" for warning in listing.warnings]
    return "\n".join(lines)


def _trial_row(line: Line) -> list[str]:
    interval = "" if line.low is None or line.high is None else f"{line.low:+.3f} to {line.high:+.3f}"
    return [
        line.class_name,
        _number(line.champion),
        _number(line.challenger),
        "" if line.difference is None or line.champion is None else f"{line.difference:+.3f}",
        interval,
        "" if line.margin is None else f"-{line.margin:g}",
        "holds" if line.objection is None else "does not hold",
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


Name = Annotated[str, typer.Argument(help="Registered model, register.model of the recipe.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="The version that is to become the champion.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to compare on; by default that of the version's training, in data/, unchanged."),
    ] = None,
    params: Annotated[Path, typer.Option(help="Recipe; its section promotion says what must hold.")] = Path(
        "params.yaml"
    ),
    reason: Reason = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show the comparison and move nothing.")] = False,
) -> None:
    """Make a version the champion, if it passes the gate on test patients that neither it nor the champion saw.

    The old champion becomes the previous one. Exit code 2, and nothing moved, where the gate does not hold.

    Example: sss promote sss-phantom --version 2 --explain
    """
    from sss_model.config import load_config
    from sss_ops.registry import promote as steps
    from sss_ops.tracking.runs import connect

    client = connect()
    trial = steps.measure(client, name, str(version), load_config(params), data=data)
    typer.echo(trial_table(trial))
    if explain:
        objections = "; ".join(trial.verdict.objections)
        typer.echo(f"the gate does not hold: {objections}" if objections else "the gate holds; nothing was moved")
        return
    intent = steps.promote(client, trial, reason=reason)
    typer.echo(f"{name}: version {intent.after['champion']} is the champion{_over(trial.champion)}")


def rollback(name: Name, reason: Reason = "") -> None:
    """Swap champion and previous; a champion that was moved by hand gives way to the one that passed the gate.

    Example: sss rollback sss-phantom --reason misses-clots
    """
    from sss_ops.registry import rollback as steps
    from sss_ops.tracking.runs import connect

    intent = steps.rollback(connect(), name, reason=reason)
    typer.echo(f"{name}: version {intent.after['champion']} is the champion{_over(intent.record['from'])}")


def release(
    name: Annotated[str, typer.Argument(help="Registered model; NAME@ALIAS for another than the champion.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    version: Annotated[int | None, typer.Option(min=1, help="The version; the champion if not given.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Whether a folder that is there gives way.")] = False,
) -> None:
    """Write a version's release folder: card, scores, overlays, report, bill of materials, approval, hashes.

    All of it comes from MLflow and is audited first. A version that nobody promoted can be released; its approval says
    so.

    Example: sss release sss-phantom release/sss-phantom
    """
    from sss_ops.registry.addresses import version_named
    from sss_ops.registry.release import write_release
    from sss_ops.tracking.runs import connect

    client = connect()
    found = version_named(client, f"{name}/{version}" if version else name)
    record = write_release(client, found, output, replace=replace)
    if record["warning"]:
        typer.secho(f"warning: {record['warning']}", fg="yellow", err=True)
    typer.echo(f"{found.name} version {found.version}, {record['status']}: {output}")


def show(
    name: Annotated[str | None, typer.Argument(help="Registered model; all of them if not given.")] = None,
) -> None:
    """List a model's versions: Dice, aliases, when registered, what was decided last, by whom and why.

    A champion that was moved outside the gate, by hand in MLflow, is marked with (!). What a killed command left half
    done is finished first.

    Example: sss registry sss-phantom
    """
    from sss_ops.registry.listing import list_versions, models_of
    from sss_ops.registry.move import finish, tell
    from sss_ops.tracking.runs import connect

    client = connect()
    names = [name] if name else models_of(client)
    if not names:
        typer.echo("no registered models; `sss register` makes the first")
    for each in names:
        done = finish(client, each)
        if done:
            tell(done)
        typer.echo(listing_table(list_versions(client, each)))


def _over(old: str | None) -> str:
    return f", it was version {old}" if old else ""
