"""``sss audit``: what an evaluation's artifacts prove, and what contradicts them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError
from sss_ops.registry.versions import ADDRESS_FORMS, is_address, version_at
from sss_ops.tracking.store import tracking_client

if TYPE_CHECKING:
    from sss_model.evaluation.audit import Audit


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder with checkpoint, predictions, evaluation, metrics.json and manifest.csv; or, from MLflow, "
            "models:/NAME/VERSION, models:/NAME@champion or the id of the run that a version was registered with.",
        ),
    ] = ".",
) -> None:
    """Prove from the artifacts alone who was seen, what was scored and that nothing has changed since.

    Takes every hash again, and computes the means of summary.json and metrics.json again from cases.csv. Ends with exit
    code 2 and one sentence for each contradiction.

    Example: sss audit models:/sss-phantom@champion
    """
    found = _audit(run)
    typer.echo(found.as_text(), nl=False)
    for finding in found.findings:
        typer.secho(f"error: {finding}", fg="red", err=True)
    if found.findings:
        raise typer.Exit(2)
    typer.echo("nothing contradicts the record: all hashes, and all means computed again, are as evaluated")


def _audit(run: str) -> "Audit":
    from sss_model.evaluation.audit import audit

    if Path(run).is_dir():
        return audit(Path(run))
    if not is_address(run):
        raise InputError(f"{run}: no such folder; expected a folder with an evaluation, or {ADDRESS_FORMS}")
    from sss_ops.registry.evidence import audit_version

    client = tracking_client()
    return audit_version(client, version_at(client, run))


if __name__ == "__main__":
    from sss_ops.command_line import run_command

    run_command(command)
