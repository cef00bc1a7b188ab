"""Compile the pipeline into files, for Kubeflow's UI and for a GitOps repository, and read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from sss_model.errors import InputError
from sss_model.files import write_atomically

NAME = "sss-training"


def compile_pipeline(output: Path, *, image: str | None = None, namespace: str = "kubeflow") -> list[Path]:
    """Write the compiled pipeline.

    Args:
        output: folder for ``sss-training.yaml`` (intermediate representation, for the UI and `pipelines.submit`) and
            ``sss-training.k8s.yaml`` (Kubernetes objects Pipeline and PipelineVersion, for GitOps).
        image: the form's default image; None takes the one that ``k8s/image`` pins.
        namespace: where the Kubernetes objects are to live.

    Returns:
        The files.
    """
    defaults = {"image": image} if image else {}
    package = output / f"{NAME}.yaml"
    manifests = output / f"{NAME}.k8s.yaml"
    _compile(package, pipeline_parameters=defaults)
    version = f"{NAME}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    _compile(
        manifests,
        pipeline_parameters=defaults,
        kubernetes_manifest_format=True,
        kubernetes_manifest_options=_manifest_options(version, namespace),
    )
    return [package, manifests]


def compile_command(
    output: Annotated[Path, typer.Option(help="Folder for the compiled files.")] = Path("build/pipelines"),
    image: Annotated[str | None, typer.Option(help="The form's default image; if not given, k8s/image's.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the GitOps manifests.")] = "kubeflow",
) -> None:
    """Compile the training pipeline for the UI and for GitOps.

    Example: python -m pipelines compile --output build/pipelines
    """
    for path in compile_pipeline(output, image=image, namespace=namespace):
        typer.echo(path)


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        name: as the UI lists it.
        version: the name with the first digits of the file's SHA-256, so that equal files are one version.
        specification: the intermediate representation.
        tasks: Kubeflow's names of the tasks to their display names, in order.
    """

    path: Path
    name: str
    version: str
    specification: dict[str, Any]
    tasks: dict[str, str]


def read_package(path: Path) -> Package:
    """Read what ``python -m pipelines compile`` wrote.

    Raises:
        InputError: the file is missing or no compiled pipeline.
    """
    try:
        content = path.read_bytes()
        specification = next(yaml.safe_load_all(content))
        name = specification["pipelineInfo"]["name"]
        # Bookkeeping tasks, such as the one around an exit handler, have a DAG and no container of their own.
        components = specification["components"]
        tasks = {
            key: task["taskInfo"]["name"]
            for key, task in _tasks(specification)
            if "dag" not in components[task["componentRef"]["name"]]
        }
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a compiled pipeline, run `make pipeline`") from None
    except (yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise InputError(f"{path}: no compiled pipeline; expected what `make pipeline` writes") from None
    return Package(path, name, f"{name}-{hashlib.sha256(content).hexdigest()[:12]}", specification, tasks)


def write_without_cache(package: Package, into: Path) -> None:
    """Write a copy whose tasks all run uncached, also those inside an exit handler, which KFP's client skips."""
    documents = list(yaml.safe_load_all(package.path.read_bytes()))
    for _, task in _tasks(documents[0]):
        task["cachingOptions"] = {}
    write_atomically(into, yaml.safe_dump_all(documents, sort_keys=False).encode())


def _tasks(specification: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (specification["root"], *specification["components"].values()):
        yield from part.get("dag", {}).get("tasks", {}).items()


def _compile(path: Path, **options: Any) -> None:
    import tempfile

    from kfp.compiler import Compiler

    from pipelines.training import training

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "pipeline.yaml")
        Compiler().compile(training, str(draft), **options)
        write_atomically(path, draft.read_bytes())


def _manifest_options(version: str, namespace: str) -> Any:
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    return KubernetesManifestOptions(
        pipeline_name=NAME,
        pipeline_display_name="SSS training",
        pipeline_version_name=version,
        pipeline_version_display_name=version,
        namespace=namespace,
        include_pipeline_manifest=True,
    )
