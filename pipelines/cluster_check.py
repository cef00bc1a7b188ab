"""Check that a cluster can train: the doctor's checks from here, then five minutes of the real pipeline on the pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError

if TYPE_CHECKING:
    from pipelines.submit import Submitted
    from sss_ops.doctor.checks import CheckResult
    from sss_ops.doctor.cluster import PodRequest


NAME = "sss-cluster-check"

# Task to the proof that its success is.
_PROOFS = {
    "version-data": "the image is pulled and a task runs; the pool can give what was asked",
    "validate-splits": "one task's files reach the next, through Kubeflow's store",
    "train": "the pod found its node and trained, on {pods}",
    "evaluate": "the trained weights travel, and the model scores scans",
    "register": "MLflow and its artifact store take a model from inside the cluster",
}
# Word in Kubernetes' or Kubeflow's reason, to the fix.
_FIXES = {
    "ImagePull": "push the image, pin its digest (`make image`, k8s/image) and give the account the right to pull it",
    "ErrImage": "push the image, pin its digest (`make image`, k8s/image) and give the account the right to pull it",
    "Unschedulable": "add nodes to the pool, or correct its labels and taints in sss_ops/cluster/pools.yaml",
    "Insufficient": "add nodes to the pool, or ask for less in sss_ops/cluster/pools.yaml",
    "OOMKilled": "give the pool more memory in sss_ops/cluster/pools.yaml",
    "secret": "make the secret sss-s3 in the runs' namespace, see k8s/",
    "persistentvolumeclaim": "apply k8s/, which makes the volume sss-work",
    "forbidden": "apply k8s/, which binds the role sss-pipeline to the runs' account",
}


def check_parameters(request: PodRequest) -> dict[str, object]:
    """The run's parameters, with an experiment and a model of its own: no real model gets a version from a check."""
    return {
        "recipe": "phantom",
        "data_version": "phantom",
        "minutes": 5,
        "pool": request.pool,
        "gpus": request.gpus,
        "nodes": request.nodes,
        "spot": request.spot,
        "experiment": NAME,
        "model_name": NAME,
    }


def proof_lines(run: Submitted, titles: dict[str, str], request: PodRequest) -> list[CheckResult]:
    """A line for each task that succeeded, with what that proves, and one with the fix where the run failed."""
    from sss_ops.doctor.checks import CheckResult

    pods = f"{request.nodes} × {request.gpus} GPUs of pool {request.pool}" if request.gpus else "CPUs"
    lines = [
        CheckResult(titles[task], "green", proof.format(pods=pods))
        for task, proof in _PROOFS.items()
        if run.tasks.get(task) == "SUCCEEDED"
    ]
    if run.error:
        fix = next((fix for word, fix in _FIXES.items() if word.lower() in run.error.lower()), f"see {run.link}")
        lines.append(CheckResult("Run in the cluster", "red", run.error, fix))
    return lines


def cluster_check_command(
    package: Annotated[Path, typer.Option(help="The compiled pipeline.")] = Path("build/pipelines/sss-training.yaml"),
    host: Annotated[str | None, typer.Option(help="Address of Kubeflow Pipelines; if not given, KFP_HOST.")] = None,
    pool: Annotated[str, typer.Option(help="GPU pool: gke, eks, aks or bare.")] = "bare",
    gpus: Annotated[int, typer.Option(help="GPUs on each node; 0 checks training on CPUs.")] = 1,
    nodes: Annotated[int, typer.Option(help="Nodes to train on.")] = 1,
    spot: Annotated[bool, typer.Option(help="Whether on spot nodes.")] = False,
    bucket: Annotated[str | None, typer.Option(help="Bucket to try from here.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Your profile, where Kubeflow has many users.")] = None,
    service_account: Annotated[str | None, typer.Option(help="Account of the run's pods.")] = None,
    timeout_minutes: Annotated[float, typer.Option(help="How long to wait for the run.")] = 45.0,
) -> None:
    """Check the services from here, then train the phantom for five minutes in the cluster; exit code 1 on any red.

    Example: KFP_HOST=http://localhost:8080 python -m pipelines cluster-check --pool gke
    """
    from pipelines.compile import read_package
    from pipelines.submit import submit
    from sss_ops.cluster.placement import place_training
    from sss_ops.cluster.pod import WORK_MOUNT
    from sss_ops.doctor import diagnose, show_results
    from sss_ops.doctor.cluster import PodRequest

    compiled = read_package(package)
    request = PodRequest(pool, gpus, nodes, spot)
    # Refuse here what the first task would refuse.
    place_training(pool, gpus=gpus, nodes=nodes, spot=spot, work=WORK_MOUNT)
    lines = diagnose(
        request,
        checkpoint=None,
        params=Path("params.yaml"),
        bucket=bucket,
        host=host,
        namespace=namespace or "kubeflow",
    )
    show_results(lines)
    if not any(line.name == "Kubeflow Pipelines" and line.state in ("green", "yellow") for line in lines):
        raise InputError("Kubeflow Pipelines: can't be used from here, see above; expected a server to run on")
    run = submit(
        package,
        host=host,
        experiment=NAME,
        arguments=check_parameters(request),
        namespace=namespace,
        run_name=None,
        service_account=service_account,
        wait=True,
        timeout_minutes=timeout_minutes,
        cached=False,  # what the cache answers proves nothing
    )
    proven = proof_lines(run, compiled.tasks, request)
    show_results(proven)
    if any(line.state == "red" for line in (*lines, *proven)):
        raise typer.Exit(1)
