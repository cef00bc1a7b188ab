"""A version's checkpoint and the evidence for it, fetched from MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.registry.evidence import CHECKPOINT, TAG, place_of
from components.registry.packed import fetch_checkpoint, reason_of
from components.sums import FILE, changed_since
from sss_model.errors import InputError
from sss_model.files import sha256

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


class Kept(NamedTuple):
    """What was kept of a version, in a folder to audit, and a sentence for all that is not as it was registered."""

    folder: Path
    changed: list[str]


@contextmanager
def fetched(client: MlflowClient, version: ModelVersion) -> Iterator[Kept]:
    """What was kept of a version, and its checkpoint, for the length of a ``with`` block.

    Raises:
        InputError: the version was registered without evidence, or MLflow can't give it.
    """
    name = f"{version.name} version {version.version}"
    digest = version.tags.get(TAG)
    if not digest or not version.run_id:
        raise InputError(
            f"{name}: no evaluation was kept with it; expected a version made by `sss register` from manifest.csv, "
            "predictions and evaluation, register it again"
        )
    with tempfile.TemporaryDirectory(prefix="sss-") as temporary:
        folder = _download(client, str(version.run_id), digest, Path(temporary), what=name)
        changed = _changed(folder, digest)
        checkpoint = fetch_checkpoint(version.name, str(version.version), Path(temporary, "model"))
        checkpoint.rename(folder / CHECKPOINT)
        yield Kept(folder, changed)


def _download(client: MlflowClient, run_id: str, digest: str, into: Path, *, what: str) -> Path:
    from mlflow.exceptions import MlflowException

    place = place_of(digest)
    try:
        if not client.list_artifacts(run_id, place):
            raise InputError(f"{what}: its run {run_id} holds no {place}; expected what `sss register` kept there")
        return Path(client.download_artifacts(run_id, place, str(into)))
    except (MlflowException, OSError) as error:
        raise InputError(f"{what}: its evaluation can't be fetched from MLflow ({reason_of(error)})") from None


def _changed(folder: Path, digest: str) -> list[str]:
    try:
        changed = changed_since(folder)
    except InputError as error:
        return [str(error)]
    found = sha256(folder / FILE)
    if found != digest:
        changed.append(f"{FILE}: changed, SHA-256 {found}; expected {digest}, as the version's tag {TAG} says")
    return changed
