"""Two versions of a model on the same scans, each as it lies in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint
    from sss_model.manifest import Case, Manifest
    from sss_model.metrics import Score


@contextmanager
def fetched(name: str, versions: list[str]) -> Iterator[dict[str, Checkpoint]]:
    """The checkpoints of some versions of a model, fetched for the length of a ``with`` block.

    Raises:
        InputError: MLflow can't give one, or this code can't read it; the sentence names the version.
    """
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        yield {version: _fetch(name, version, Path(folder, version)) for version in versions}


def score(checkpoint: Checkpoint, cases: tuple[Case, ...], *, manifest: Manifest, data_dir: Path) -> list[Score]:
    """A row per case and class; raises `InputError` where the model saw one of the patients or has other classes."""
    from sss_model.content import check_content
    from sss_model.evaluate import evaluate_cases
    from sss_model.leaks import check_evaluable
    from sss_model.predict import Predictor

    check_evaluable(checkpoint.meta, manifest.labels, cases, split="test")
    check_content(cases, data_dir)
    segment, settings = Predictor(checkpoint).segment, checkpoint.config.evaluation
    return evaluate_cases(segment, cases, labels=manifest.labels, data_dir=data_dir, settings=settings).scores


def data_for(name: str, version: str, checkpoint: Checkpoint, given: Path | None) -> tuple[Path, Manifest]:
    """The data to score on: those given, or those of a version's training where they lie in ``data/`` unchanged.

    Raises:
        InputError: there are none, or they are another version and were not asked for.
    """
    from sss_model.files import sha256
    from sss_model.manifest import build_manifest, write_manifest

    if given is not None:
        return given, build_manifest(given)
    meta, folder = checkpoint.meta, Path("data", checkpoint.config.data.name)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; expected the scans of {name} version {version} (data version "
            f"{meta.data_version}), or others with --data"
        )
    manifest = build_manifest(folder)
    with tempfile.TemporaryDirectory(prefix="sss-") as temporary:
        file = Path(temporary, "manifest.csv")
        write_manifest(manifest, file)
        found = sha256(file)
    if found != meta.manifest_sha256:
        raise InputError(
            f"{folder}: another version of the data than {name} version {version} was trained with (manifest "
            f"{found[:8]}, expected {meta.manifest_sha256[:8]}, data version {meta.data_version}); "
            f"`dvc checkout` that one, or score on this with --data {folder}"
        )
    return folder, manifest


def _fetch(name: str, version: str, folder: Path) -> Checkpoint:
    from components.registry.packed import fetch_checkpoint
    from sss_model.checkpoint import load_checkpoint

    place = fetch_checkpoint(name, version, folder)
    try:
        return load_checkpoint(place)
    except InputError as error:
        raise InputError(f"{name} version {version}: {str(error).replace(str(folder), 'its checkpoint')}") from None
