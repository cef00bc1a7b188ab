"""``sss promote``, ``sss rollback``, ``sss release`` and ``sss registry``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Registered model, register.model of the recipe.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="The version that is to become the champion.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to compare on; by default that of the version's training, in data/, unchanged."),
    ] = None,
    params: Annotated[Path, typer.Option(help="Recipe whose section gate says what must hold.")] = Path("params.yaml"),
    reason: Reason = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show the comparison and move nothing.")] = False,
) -> None:
    """Make a version the champion, if it passes the gate on test patients that neither it nor the champion saw.

    The old champion becomes the previous one. Exit code 2, and nothing moved, where the gate does not hold.

    Example: sss promote sss-phantom --version 2 --explain
    """
    from components.registry import promote as steps
    from components.registry.tables import trial_table
    from components.tracking import connect
    from sss_model.config import load_config

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
    from components.registry import rollback as steps
    from components.tracking import connect

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
    from components.registry.address import version_named
    from components.registry.release import write_release
    from components.tracking import connect

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
    from components.registry.listing import list_versions, models_of
    from components.registry.move import finish, tell
    from components.registry.tables import listing_table
    from components.tracking import connect

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
