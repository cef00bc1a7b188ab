"""The console script ``sss``: importing data, the five steps, prediction, the registry."""

from __future__ import annotations

from collections.abc import Callable

from sss_ops import audit, config_command, corrections, doctor, importing
from sss_ops.command_line import new_app, run_app
from sss_ops.data_versions import commands as data_versions
from sss_ops.experiments import curve
from sss_ops.prediction.predict import predict
from sss_ops.prediction.suggest import suggest
from sss_ops.registry import commands as registry
from sss_ops.steps.evaluate import evaluate
from sss_ops.steps.register import register
from sss_ops.steps.train import train
from sss_ops.steps.validate_splits import validate_splits
from sss_ops.steps.version_data import version_data
from sss_ops.storage import commands as storage

app = new_app(help="Semi-supervised segmentation of medical images with SAM-2.")
app.add_typer(importing.app, name="import", rich_help_panel="Scans")
importing.app.command("corrections")(corrections.import_command)
app.add_typer(corrections.export_app, name="export", rich_help_panel="Scans")
app.add_typer(data_versions.app, name="data", rich_help_panel="Scans")


def main() -> None:
    """Run the command line; input that can't be used ends in one sentence and exit code 2."""
    run_app(app)


app.command("predict", rich_help_panel="Scans")(predict)
app.command("suggest", rich_help_panel="Scans")(suggest)
app.command("fetch", rich_help_panel="Scans")(storage.fetch_command)
app.add_typer(config_command.app, name="config", rich_help_panel="Experiments")
app.command("curve", rich_help_panel="Experiments")(curve.command)
app.command("promote", rich_help_panel="Registered models")(registry.promote)
app.command("rollback", rich_help_panel="Registered models")(registry.rollback)
app.command("release", rich_help_panel="Registered models")(registry.release)
app.command("registry", rich_help_panel="Registered models")(registry.show_registry)
app.command("audit", rich_help_panel="Trust")(audit.command)
app.command("doctor", rich_help_panel="This place")(doctor.command)
app.add_typer(storage.app, name="checkpoint", rich_help_panel="This place")

_STEPS: dict[str, Callable[..., object]] = {
    "version-data": version_data,
    "validate-splits": validate_splits,
    "train": train,
    "evaluate": evaluate,
    "register": register,
}
for _name, _command in _STEPS.items():
    app.command(_name, rich_help_panel="The five steps, in order")(_command)
