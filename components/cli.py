"""The console script ``sss``: importing data, the five steps, prediction, the registry."""

from __future__ import annotations

from collections.abc import Callable

from components import audit, curve, doctor, evaluate, importing, register, train, validate_splits, version_data
from components.command_line import new_app, run_app
from components.corrections import commands as corrections
from components.data_versions import commands as data_versions
from components.fetching import commands as fetching
from components.predicting import commands as predicting
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


app.command("predict", rich_help_panel="Scans")(predicting.predict)
app.command("suggest", rich_help_panel="Scans")(predicting.suggest)
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
