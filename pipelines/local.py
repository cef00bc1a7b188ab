"""Run the compiled pipeline on this machine, each task in a subprocess or a container."""

from __future__ import annotations

import os
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from pipelines.compile import NAME, compile_pipeline
from pipelines.submit import parse_arguments
from sss_model.errors import InputError

if TYPE_CHECKING:
    from kfp.local import DockerRunner, SubprocessRunner


_PASSED_ON = ("AWS_", "MLFLOW_", "OMP_")


class Runner(StrEnum):
    """The environment of each task."""

    subprocess = "subprocess"
    docker = "docker"


def run_pipeline(
    runner: Runner, *, output: Path, settings: list[str], image: str, cached: bool = False
) -> dict[str, list[Path]]:
    """Run the training pipeline here, to its end.

    Args:
        runner: environment of each task.
        output: folder for the artifacts, a folder per run.
        settings: ``NAME=VALUE``, the pipeline's parameters where they differ from their defaults.
        image: of the containers; for subprocesses, a name for the code, part of the cache's keys.
        cached: whether a task that ran before with the same inputs is skipped.

    Returns:
        Task to the paths of its artifacts.

    Raises:
        InputError: an unknown parameter, or the image as one, containers without an MLflow server, or a task failed;
            its own words are in the log above.
    """
    from kfp import components, local

    # Kubeflow's backend finds the run's image among its parameters; the local runners don't look it up.
    specification = _compiled(image if runner is Runner.docker else None)
    arguments = {**_local_parameters(runner), **parse_arguments(settings, specification)}
    if "image" in arguments:
        raise InputError("image: not among the parameters of a run on this machine; expected --image, for containers")
    if runner is Runner.docker and not arguments["mlflow"]:
        raise InputError(
            "MLFLOW_TRACKING_URI: not set; expected the address of a server that containers reach too, such as "
            "http://localhost:5000, where `mlflow server` answers"
        )
    output.mkdir(parents=True, exist_ok=True)
    before = set(output.iterdir())
    local.init(_runner(runner, output), pipeline_root=str(output), enable_caching=cached)
    # Its local runners ignore images, display names and memory limits, and warn of that at every task.
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    try:
        components.load_component_from_text(yaml.safe_dump(specification))(image=image, **arguments)
    except RuntimeError as error:
        raise InputError(f"{NAME}: {error} Expected every task to succeed, see the log above") from None
    (made,) = {folder for folder in output.iterdir() if folder.name.startswith(NAME)} - before
    return {task.name: sorted(_artifacts(task)) for task in sorted(made.iterdir())}


def local_command(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Parameters of the run, such as steps=100.")
    ] = None,
    runner: Annotated[Runner, typer.Option(help="What a task runs in.")] = Runner.subprocess,
    output: Annotated[Path, typer.Option(help="Folder for what the tasks make.")] = Path("build/runs"),
    image: Annotated[str, typer.Option(help="Image of the containers.")] = "sss:dev",
    cached: Annotated[bool, typer.Option("--cached", help="Skip tasks that ran before with the same inputs.")] = False,
) -> None:
    """Run the training pipeline on this machine; untouched, it trains on the phantom.

    MLflow is the one that MLFLOW_TRACKING_URI names; without it, tasks in subprocesses use mlflow.db in this folder,
    and tasks in containers, which have no folder in common, are refused.

    Example: python -m pipelines run --runner subprocess steps=100
    """
    from sss_model.files import code_sha256

    names_code = image if runner is Runner.docker else f"code:{code_sha256()}"
    print_artifacts(run_pipeline(runner, output=output, settings=settings or [], image=names_code, cached=cached))


def print_artifacts(made: dict[str, list[Path]]) -> None:
    """Print the artifacts of each task of a run, and where they are."""
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "made", box=None)
    for task, paths in made.items():
        table.add_row(task, ", ".join(path.name for path in paths))
    console = Console()
    console.print(table)
    console.print(f"all in {os.path.relpath(next(iter(made.values()))[0].parents[1])}", soft_wrap=True)


def _compiled(image: str | None) -> dict[str, Any]:
    """The compiled pipeline for this machine: without retries, and with the image filled in where one is given."""
    with tempfile.TemporaryDirectory() as folder:
        package, _ = compile_pipeline(Path(folder))
        # The second document is for Kubernetes alone.
        specification: dict[str, Any] = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    for component in specification["components"].values():
        for task in component.get("dag", {}).get("tasks", {}).values():
            # Nothing fails here because of a lost node.
            task.pop("retryPolicy", None)
    if image:
        for executor in specification["deploymentSpec"]["executors"].values():
            executor["container"]["image"] = image
    return specification


def _local_parameters(runner: Runner) -> dict[str, Any]:
    """Parameters that differ from a cluster's: no service sss-mlflow, and no volume."""
    work = "/tmp/work" if runner is Runner.docker else str(Path(".runs").resolve())
    return {"mlflow": os.environ.get("MLFLOW_TRACKING_URI", ""), "work": work}


def _runner(runner: Runner, output: Path) -> SubprocessRunner | DockerRunner:
    from kfp import local

    if runner is Runner.subprocess:
        return local.SubprocessRunner(use_venv=False)
    return local.DockerRunner(
        user=_user(output),
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={"/tmp": "mode=1777"},
        network_mode="host",
        environment={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
    )


def _user(output: Path) -> str:
    """The containers' user: the caller; for root, the image's own user, who then needs access to the folder."""
    if os.getuid():
        return f"{os.getuid()}:{os.getgid()}"
    os.umask(0)
    output.chmod(0o777)
    return ""


def _artifacts(task: Path) -> list[Path]:
    return [path for path in task.iterdir() if path.name != "executor_output.json"]
