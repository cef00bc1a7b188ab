"""``sss doctor``: whether a training can run here and with the services around it, each red line with its fix."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sss_ops.doctor.checks import CheckResult
    from sss_ops.doctor.cluster import PodRequest


_MARKS = {"green": "✔", "yellow": "!", "red": "✘", "grey": "–"}


def diagnose(
    request: PodRequest, *, checkpoint: Path | None, params: Path, bucket: str | None, host: str | None, namespace: str
) -> list[CheckResult]:
    """Run every check.

    Args:
        request: what a training would ask of the cluster.
        checkpoint: SAM-2's weights; None takes those that `params` names.
        bucket: to write a probe object to; None only asks the store for its list of buckets.
        host: of Kubeflow Pipelines; None takes KFP_HOST.
        namespace: where TrainJobs are made.
    """
    from sss_ops.doctor import cluster, machine, services
    from sss_ops.doctor.checks import run_checks

    return run_checks(
        local={
            "Python": machine.check_packages,
            "Memory and disk": machine.check_resources,
            "GPU": machine.check_gpu,
            "SAM-2 checkpoint": partial(machine.check_pretrained, checkpoint, params),
        },
        remote={
            "S3": partial(services.check_object_store, bucket),
            "DVC remote": partial(services.check_dvc_remote, Path.cwd()),
            "MLflow": services.check_mlflow,
            "Kubeflow Pipelines": partial(services.check_pipelines, host),
            "Kubernetes": partial(cluster.check_kubernetes, namespace, request),
        },
    )


def doctor_command(
    checkpoint: Annotated[Path | None, typer.Option(help="SAM-2's weights; if not given, the recipe's.")] = None,
    params: Annotated[Path, typer.Option(help="Recipe that may name the weights.")] = Path("params.yaml"),
    bucket: Annotated[str | None, typer.Option(help="Bucket to write a probe to, such as sss-mlflow.")] = None,
    host: Annotated[str | None, typer.Option(help="Address of Kubeflow Pipelines; if not given, KFP_HOST.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the runs' pods.")] = "kubeflow",
    pool: Annotated[str | None, typer.Option(help="GPU pool to look for nodes of: gke, eks, aks, bare.")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs on each node.")] = 1,
    nodes: Annotated[int, typer.Option(help="Nodes to train on.")] = 1,
    spot: Annotated[bool, typer.Option(help="Train on spot nodes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check this machine and the services that the environment names; exit code 1 where a line is red.

    Example: sss doctor --bucket sss-mlflow --pool gke
    """
    from sss_ops.doctor.cluster import PodRequest

    request = PodRequest(pool, gpus, nodes, spot)
    results = diagnose(request, checkpoint=checkpoint, params=params, bucket=bucket, host=host, namespace=namespace)
    if as_json:
        for result in results:
            typer.echo(json.dumps(result.as_dict()))
    else:
        show_results(results)
    if any(result.state == "red" for result in results):
        raise typer.Exit(1)


def show_results(results: list[CheckResult]) -> None:
    """Print results as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", "what to do", box=None)
    for result in results:
        style = "bright_black" if result.state == "grey" else result.state
        table.add_row(Text(_MARKS[result.state], style), Text(result.name, style), Text(result.found), Text(result.fix))
    Console().print(table)
