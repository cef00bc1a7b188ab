"""A version's checkpoint and the evidence for it, fetched from MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.registry.evidence import CHECKPOINT, TAG, place_of
from components.sums import FILE, changed_since
from components.tracking_errors import sentence_about, without_secrets
from sss_model.errors import InputError
from sss_model.files import sha256

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


class Kept(NamedTuple):
    """What was kept of a version, in a folder to audit, and a sentence for all that is not as it was registered."""

    folder: Path
    changed: list[str]


def fetch_checkpoint(name: str, version: str, folder: Path) -> Path:
    """Fetch the checkpoint of a version into a new folder; returns where it lies in there.

    Raises:
        InputError: MLflow can't give it; the sentence names the version.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import get_model_info

    folder.mkdir()
    try:
        # Under the name that the folder had where it was registered.
        packed = get_model_info(f"models:/{name}/{version}").flavors["python_function"]["artifacts"]["checkpoint"]
        return Path(download_artifacts(f"models:/{name}/{version}/{packed['path']}", dst_path=str(folder)))
    except KeyError:
        raise InputError(f"{name} version {version}: holds no checkpoint; expected what `sss register` makes") from None
    except (MlflowException, OSError) as error:
        raise InputError(f"{name} version {version}: its checkpoint can't be fetched ({_reason(error)})") from None


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
        raise InputError(f"{what}: its evaluation can't be fetched from MLflow ({_reason(error)})") from None


def _changed(folder: Path, digest: str) -> list[str]:
    try:
        changed = changed_since(folder)
    except InputError as error:
        return [str(error)]
    found = sha256(folder / FILE)
    if found != digest:
        changed.append(f"{FILE}: changed, SHA-256 {found}; expected {digest}, as the version's tag {TAG} says")
    return changed


def _reason(error: Exception) -> str:
    """Why a download failed; MLflow puts the first file's reason below a headline of its own."""
    text = without_secrets(str(error))
    return sentence_about(error) or (text.partition(" #####\n")[2] or text).splitlines()[0]
