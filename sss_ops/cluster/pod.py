"""What every step needs where Kubeflow runs it: its surroundings set, and errors as one sentence in the log."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from sss_ops.errors import sentence_about


@contextmanager
def pod(*, image: str, mlflow: str = "") -> Iterator[None]:
    """Run a step's body.

    Args:
        image: reference of the image that the run was given; it goes into the checkpoint and onto the model version.
        mlflow: address of the tracking server; one that Kubeflow Pipelines has set in the environment goes first.

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
    """The recipe, which travels between tasks as text, as the file that a step reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_text(recipe, encoding="utf-8")
        yield path
