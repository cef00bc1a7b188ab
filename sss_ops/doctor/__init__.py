"""``sss doctor``: whether a training can run here and with the services around it, each red line with its fix."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sss_ops.doctor.checks import Line
    from sss_ops.doctor.cluster import Wish


_MARKS = {"green": "✔", "yellow": "!", "red": "✘", "grey": "–"}


def diagnose(
    wish: Wish, *, checkpoint: Path | None, params: Path, bucket: str | None, host: str | None, namespace: str
) -> list[Line]:
    """Run every check.

    Args:
        wish: what a training would ask of the cluster.
        checkpoint: SAM-2's weights; None takes those that `params` names.
        bucket: to write a probe object to; None only asks the store for its list of buckets.
        host: of Kubeflow Pipelines; None takes KFP_HOST.
        namespace: where TrainJobs are made.
    """
    from sss_ops.doctor import cluster, machine, services, storage
    from sss_ops.doctor import storage as pretrained
    from sss_ops.doctor.checks import run_checks

    return run_checks(
        local={
            "Python": machine.packages,
            "Room": machine.room,
            "GPU": machine.gpu,
            "SAM-2 checkpoint": partial(pretrained.checkpoint, checkpoint, params),
        },
        remote={
            "S3": partial(storage.object_store, bucket),
            "DVC remote": partial(storage.dvc_remote, Path.cwd()),
            "MLflow": services.mlflow,
            "Kubeflow Pipelines": partial(services.pipelines, host),
            "Kubernetes": partial(cluster.kubernetes, namespace, wish),
        },
    )


def command(
    checkpoint: Annotated[Path | None, typer.Option(help="SAM-2's weights; if not given, the recipe's.")] = None,
    params: Annotated[Path, typer.Option(help="Recipe that may name the weights.")] = Path("params.yaml"),
    bucket: Annotated[str | None, typer.Option(help="Bucket to try, such as sss-mlflow.")] = None,
    host: Annotated[str | None, typer.Option(help="Address of Kubeflow Pipelines; if not given, KFP_HOST.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the runs' pods.")] = "kubeflow",
    pool: Annotated[str | None, typer.Option(help="GPU pool to look for nodes of: gke, eks, aks, bare.")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs on each node.")] = 1,
    nodes: Annotated[int, typer.Option(help="Nodes to train on.")] = 1,
    spot: Annotated[bool, typer.Option(help="Whether on spot nodes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check this machine and the services that the environment names; exit code 1 where a line is red.

    Example: sss doctor --bucket sss-mlflow --pool gke
    """
    from sss_ops.doctor.cluster import Wish

    wish = Wish(pool, gpus, nodes, spot)
    lines = diagnose(wish, checkpoint=checkpoint, params=params, bucket=bucket, host=host, namespace=namespace)
    if as_json:
        for line in lines:
            typer.echo(json.dumps(line.as_dict()))
    else:
        show(lines)
    if any(line.state == "red" for line in lines):
        raise typer.Exit(1)


def show(lines: list[Line]) -> None:
    """Print the findings as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", "what to do", box=None)
    for line in lines:
        style = "bright_black" if line.state == "grey" else line.state
        table.add_row(Text(_MARKS[line.state], style), Text(line.name, style), Text(line.found), Text(line.fix))
    Console().print(table)
