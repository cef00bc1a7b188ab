"""Submit the compiled pipeline to Kubeflow, and follow the run."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pipelines.compile import Package, read_package, write_without_cache
from sss_model.errors import InputError

if TYPE_CHECKING:
    import kfp

_WORDS = {"true": True, "false": False}
_KINDS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": lambda text: _WORDS[text.lower()],
}


def parse_arguments(pairs: Sequence[str], specification: Mapping[str, Any]) -> dict[str, Any]:
    """Read a run's parameters from a command line, typed as the compiled pipeline says.

    >>> steps = {"steps": {"parameterType": "NUMBER_INTEGER"}}
    >>> parse_arguments(["steps=100"], {"root": {"inputDefinitions": {"parameters": steps}}})
    {'steps': 100}

    Args:
        pairs: ``NAME=VALUE`` each.
        specification: the compiled pipeline, as read from its YAML.

    Raises:
        InputError: not such a pair, no such parameter, or a value of the wrong kind.
    """
    kinds = {name: spec["parameterType"] for name, spec in _parameters(specification).items()}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{pair}: expected NAME=VALUE, such as steps=100")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise InputError(f"{name}: no such parameter{hint}; expected one of {', '.join(sorted(kinds))}")
        arguments[name] = _value(name, text, kinds[name])
    return arguments


def _parameters(specification: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = specification["root"]["inputDefinitions"]["parameters"]
    return found


def _value(name: str, text: str, kind: str) -> Any:
    try:
        return _KINDS[kind](text)
    except (ValueError, KeyError):
        expected = {"NUMBER_INTEGER": "a whole number", "NUMBER_DOUBLE": "a number", "BOOLEAN": "true or false"}[kind]
        raise InputError(f"{name}: found {text!r}; expected {expected}") from None


class Submitted(NamedTuple):
    """A run that was submitted.

    Attributes:
        link: its page in the UI.
        state: Kubeflow's, SUCCEEDED or FAILED after waiting; PENDING without.
        error: the task that failed and why; empty where none did.
        tasks: Kubeflow's name of a task to its state, after waiting.
    """

    run_id: str
    link: str
    state: str
    error: str = ""
    tasks: dict[str, str] = {}  # noqa: RUF012 - never changed


def submit(
    package: Path,
    *,
    host: str | None,
    experiment: str,
    arguments: dict[str, object],
    namespace: str | None,
    run_name: str | None,
    service_account: str | None,
    wait: bool,
    timeout_minutes: float,
    cached: bool = True,
) -> Submitted:
    """Start a run and, if asked to, wait for its end.

    The pipeline is uploaded as a new version unless the server has this very file, so that the UI's *Create run* offers
    it.

    Args:
        package: what ``python -m pipelines compile`` wrote.
        host: address of the server; None takes KFP_HOST. A token comes from KFP_TOKEN or KFP_TOKEN_FILE alone.
        arguments: the run's parameters; those not given keep the form's defaults.
        namespace: of a multi-user Kubeflow.
        timeout_minutes: how long to wait.
        cached: False runs every task again, and leaves no version behind.

    Raises:
        InputError: no server answers, its version does not fit, it refuses, an argument is unknown or of a wrong
            kind, or the time is up.
        KeyboardInterrupt: after a line which says that the run goes on.
    """
    from pipelines.client import connect_to_pipelines
    from sss_ops.cluster.kfp_server import host_address, server_version, version_warning
    from sss_ops.errors import PIPELINES, as_sentences

    compiled = read_package(package)
    typed = parse_arguments([f"{name}={value}" for name, value in arguments.items()], compiled.specification)
    address = host_address(host)
    warning = version_warning(address, server_version(address))
    if warning:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    client = connect_to_pipelines(address, namespace)
    # The client prints links of its own.
    with as_sentences(PIPELINES, address), contextlib.redirect_stdout(io.StringIO()):
        target = {"experiment_id": client.create_experiment(experiment, namespace=namespace).experiment_id}
        target["job_name"] = run_name or f"{compiled.name} {datetime.datetime.now():%Y-%m-%d %H:%M:%S}"
        run_id = _start(client, compiled, typed, namespace, cached, {**target, "service_account": service_account})
    link = f"{os.environ.get('KF_PIPELINES_UI_ENDPOINT', address).rstrip('/')}/#/runs/details/{run_id}"
    typer.echo(f"run: {link}")
    return _wait_for(client, run_id, link, compiled, timeout_minutes) if wait else Submitted(run_id, link, "PENDING")


def submit_command(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Parameters of the run, such as steps=100.")
    ] = None,
    package: Annotated[Path, typer.Option(help="The compiled pipeline.")] = Path("build/pipelines/sss-training.yaml"),
    host: Annotated[str | None, typer.Option(help="Address of Kubeflow Pipelines; if not given, KFP_HOST.")] = None,
    experiment: Annotated[str, typer.Option(help="Kubeflow's experiment, a folder of runs.")] = "sss",
    namespace: Annotated[str | None, typer.Option(help="Your profile, where Kubeflow has many users.")] = None,
    run_name: Annotated[str | None, typer.Option(help="The run's name; if not given, pipeline and time.")] = None,
    service_account: Annotated[str | None, typer.Option(help="Account of the run's pods.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end; exit code 1 unless the run succeeds.")] = True,
    timeout_minutes: Annotated[float, typer.Option(help="How long to wait.")] = 24 * 60.0,
) -> None:
    """Run the compiled pipeline in Kubeflow.

    A token, where the server wants one, comes from KFP_TOKEN or the file that KFP_TOKEN_FILE names.

    Example: KFP_HOST=http://localhost:8080 python -m pipelines submit recipe=cpu/acdc labelled_patients=7
    """
    done = submit(
        package,
        host=host,
        experiment=experiment,
        arguments=parse_arguments(arguments or [], read_package(package).specification),
        namespace=namespace,
        run_name=run_name,
        service_account=service_account,
        wait=wait,
        timeout_minutes=timeout_minutes,
    )
    if done.error:
        typer.secho(f"error: {done.error}; see {done.link}", fg="red", err=True)
        raise typer.Exit(1)


def _start(
    client: kfp.Client,
    package: Package,
    arguments: dict[str, Any],
    namespace: str | None,
    cached: bool,
    target: dict[str, Any],
) -> str:
    """Create the run, of a version on the server or, uncached, of the file itself; returns its id."""
    if cached:
        pipeline_id, version_id = _uploaded(client, package, namespace)
        run = client.run_pipeline(**target, params=arguments, pipeline_id=pipeline_id, version_id=version_id)
        return str(run.run_id)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "pipeline.yaml")
        write_without_cache(package, copy)
        return str(client.run_pipeline(**target, params=arguments, pipeline_package_path=str(copy)).run_id)


def _uploaded(client: kfp.Client, package: Package, namespace: str | None) -> tuple[str, str]:
    """Ids of the pipeline and of the version that this package is, both created where the server lacks them."""
    found = client.list_pipelines(filter=_named(package.name), namespace=namespace).pipelines
    if found:
        pipeline_id = found[0].pipeline_id
    else:
        # Created apart from its versions: uploading both at once would give the first version the pipeline's name.
        body = client.api_models.V2beta1Pipeline(display_name=package.name, namespace=namespace)
        pipeline_id = client.pipelines.pipeline_service_create_pipeline(pipeline=body).pipeline_id
    versions = client.list_pipeline_versions(pipeline_id, filter=_named(package.version)).pipeline_versions
    version = (
        versions[0] if versions else client.upload_pipeline_version(str(package.path), package.version, pipeline_id)
    )
    return pipeline_id, version.pipeline_version_id


def _named(name: str) -> str:
    import json

    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _wait_for(client: kfp.Client, run_id: str, link: str, package: Package, timeout_minutes: float) -> Submitted:
    from pipelines.watch import SUCCEEDED, follow_run, run_failure, task_states

    try:
        run = follow_run(client, run_id, tasks=package.tasks, timeout_minutes=timeout_minutes)
    except KeyboardInterrupt:
        typer.echo(f"stopped waiting; the run goes on: {link}")
        raise
    except InputError as error:
        raise InputError(f"{error}; see {link}") from None
    failed = "" if run.state == SUCCEEDED else run_failure(run, package.tasks)
    typer.echo(f"the run {run.state.lower()}: {link}")
    return Submitted(run_id, link, run.state, failed, task_states(run, package.tasks))
