"""The pods that Kubeflow runs: the names that they share with the manifests, and the environment of a step in one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from sss_ops.errors import sentence_about

USER = 10001
"""The image's user and group."""
WORK_VOLUME = "sss-work"
WORK_MOUNT = "/sss/work"
"""Where pods mount the volume of unfinished trainings."""
OBJECT_STORE = "sss-s3"
"""Name of the secret and of the config map with the object store's settings, both of which may be missing."""
OBJECT_STORE_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OBJECT_STORE_SETTINGS = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    # Google's store takes uploads only without botocore's own checksums.
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)


@contextmanager
def in_pod(*, image: str, mlflow: str = "") -> Iterator[None]:
    """Run a step's body with its environment set, and errors as one sentence in the log.

    Args:
        image: reference of the run's image, recorded in the checkpoint and the model version.
        mlflow: address of the tracking server, unless Kubeflow Pipelines has set one in the environment.

    Raises:
        SystemExit: 2, after one sentence on stderr, for input that can't be used or a full disk.
    """
    os.environ["SSS_IMAGE_DIGEST"] = image
    if mlflow:
        os.environ.setdefault("MLFLOW_TRACKING_URI", mlflow)
    try:
        yield
    except Exception as error:
        sentence = sentence_about(error)
        if sentence is None:
            raise
        typer.echo(f"error: {sentence}", err=True)
        raise SystemExit(2) from None


@contextmanager
def recipe_file(recipe: str) -> Iterator[Path]:
    """Write a recipe, which travels between tasks as text, to the file that a step reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_text(recipe, encoding="utf-8")
        yield path
