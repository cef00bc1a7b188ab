"""The console script ``sss``: importing data, the five steps, prediction, the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from components import audit, curve, doctor, evaluate, importing, register, train, validate_splits, version_data
from components.command_line import new_app, run_app
from components.corrections import commands as corrections
from components.data_versions import commands as data_versions
from components.fetching import commands as fetching
from components.pretrained import commands as checkpoints
from components.registry import commands as registry

app = new_app(help="Semi-supervised segmentation of medical images with SAM-2.")
app.add_typer(importing.app, name="import", rich_help_panel="Scans")
importing.app.command("corrections")(corrections.import_command)
app.add_typer(corrections.export_app, name="export", rich_help_panel="Scans")
app.add_typer(data_versions.app, name="data", rich_help_panel="Scans")


def main() -> None:
    """Run the command line; input that can't be used ends in one sentence and exit code 2."""
    run_app(app)


@app.command(rich_help_panel="Scans")
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, from train.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .nii, .nii.gz or .png file, or a folder of them.")],
    destination: Annotated[Path, typer.Argument(metavar="OUT", help="The mask's file, or the masks' folder.")],
) -> None:
    """Segment scans; each mask lies on its scan's own grid. A scan unlike those of the training gets a warning.

    Example: sss predict checkpoint scan.nii.gz mask.nii.gz
    """
    from sss_model.predict import predict_files

    for _, mask in predict_files(checkpoint, source, destination, on_strange=_warn_of):
        typer.echo(mask)


def _warn_of(scan: Path, sentence: str) -> None:
    typer.secho(f"warning: {scan}: {sentence}; expect a worse mask than the evaluation's", fg="yellow", err=True)


app.command("fetch", rich_help_panel="Scans")(fetching.fetch)
app.command("curve", rich_help_panel="Experiments")(curve.command)
app.command("promote", rich_help_panel="Registered models")(registry.promote)
app.command("rollback", rich_help_panel="Registered models")(registry.rollback)
app.command("release", rich_help_panel="Registered models")(registry.release)
app.command("registry", rich_help_panel="Registered models")(registry.show)
app.command("audit", rich_help_panel="Trust")(audit.command)
app.command("doctor", rich_help_panel="This place")(doctor.command)
app.add_typer(checkpoints.app, name="checkpoint", rich_help_panel="This place")

_STEPS: dict[str, Callable[..., None]] = {
    "version-data": version_data.command,
    "validate-splits": validate_splits.command,
    "train": train.command,
    "evaluate": evaluate.command,
    "register": register.command,
}
for _name, _command in _STEPS.items():
    app.command(_name, rich_help_panel="The five steps, in order")(_command)
