"""The pipeline as files: what Kubeflow's UI takes, and what a GitOps repository applies."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

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


def command(
    output: Annotated[Path, typer.Option(help="Folder for the compiled files.")] = Path("build/pipelines"),
    image: Annotated[str | None, typer.Option(help="The form's default image; if not given, k8s/image's.")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the GitOps manifests.")] = "kubeflow",
) -> None:
    """Compile the training pipeline for the UI and for GitOps.

    Example: python -m pipelines compile --output build/pipelines
    """
    for path in compile_pipeline(output, image=image, namespace=namespace):
        typer.echo(path)


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
