"""The command line ``sss``: every command in one place. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable

import typer

from sss_ops import audit, config_command, corrections, doctor, importing
from sss_ops.command_line import new_app, run_app
from sss_ops.data_versions import commands as data_versions
from sss_ops.experiments.curve import curve
from sss_ops.prediction.predict import predict
from sss_ops.prediction.suggest import suggest
from sss_ops.registry import commands as registry
from sss_ops.steps.evaluate import evaluate
from sss_ops.steps.register import register
from sss_ops.steps.train import train
from sss_ops.steps.validate_splits import validate_splits
from sss_ops.steps.version_data import version_data
from sss_ops.storage import commands as storage

COMMANDS: dict[str, dict[str, Callable[..., object] | typer.Typer]] = {
    "The five steps, in order": {
        "version-data": version_data,
        "validate-splits": validate_splits,
        "train": train,
        "evaluate": evaluate,
        "register": register,
    },
    "Scans": {
        "predict": predict,
        "suggest": suggest,
        "fetch": storage.fetch_command,
        "import": importing.app,
        "export": corrections.export_app,
        "data": data_versions.app,
    },
    "Registered models": {
        "registry": registry.show_registry,
        "promote": registry.promote,
        "rollback": registry.rollback,
        "release": registry.release,
        "audit": audit.command,
    },
    "Experiments": {
        "config": config_command.app,
        "curve": curve,
    },
    "This machine": {
        "doctor": doctor.doctor_command,
        "checkpoint": storage.app,
    },
}
"""Panel of the help, name, and the function or group of functions."""

app = new_app(help="Semi-supervised segmentation of medical images with SAM-2.")
for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, rich_help_panel=_panel)(_command)
importing.app.command("corrections")(corrections.import_command)


def main() -> None:
    """Run the command line; input that can't be used ends in one sentence and exit code 2."""
    run_app(app)
