"""``sss audit``: what an evaluation's artifacts prove, and what contradicts them."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Folder with checkpoint, predictions, evaluation, metrics.json and manifest.csv."
        ),
    ] = Path(),
) -> None:
    """Prove from the artifacts alone who was seen, what was scored and that nothing has changed since.

    Takes every hash again, and every mean of metrics.json from cases.csv. Ends with exit code 2 and one sentence for
    each contradiction.

    Example: sss audit .
    """
    from sss_model.audit import audit

    found = audit(folder)
    width = max(len(topic) for topic, _ in found.facts)
    for topic, fact in found.facts:
        typer.echo(f"{topic:{width}}  {fact}")
    for finding in found.findings:
        typer.secho(f"error: {finding}", fg="red", err=True)
    if found.findings:
        raise typer.Exit(2)
    typer.echo("nothing contradicts the record: all hashes, and all means computed again, are as evaluated")


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
