"""Which scans may judge two models: those of test patients that neither ever saw."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.tracking.errors import sentence_about, without_secrets

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint, Meta
    from sss_model.data.manifest import Case, Manifest
    from sss_model.evaluation.metrics import Score


# The checkpoint inside a version of a registered model.


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
        raise InputError(f"{name} version {version}: its checkpoint can't be fetched ({reason_of(error)})") from None


def reason_of(error: Exception) -> str:
    """Why a download failed; MLflow puts the first file's reason below a headline of its own."""
    text = without_secrets(str(error))
    return sentence_about(error) or (text.partition(" #####\n")[2] or text).splitlines()[0]


# Two versions of a model on the same scans, each as it lies in the registry.


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
    from sss_model.data.manifest import check_content
    from sss_model.evaluation.evaluate import evaluate_cases
    from sss_model.evaluation.leaks import check_evaluable
    from sss_model.inference.predictor import Predictor

    check_evaluable(checkpoint.meta, manifest.labels, cases, split="test")
    check_content(cases, data_dir)
    segment, settings = Predictor(checkpoint).segment, checkpoint.config.evaluation
    return evaluate_cases(segment, cases, labels=manifest.labels, data_dir=data_dir, settings=settings).scores


def data_for(name: str, version: str, checkpoint: Checkpoint, given: Path | None) -> tuple[Path, Manifest]:
    """The data to score on: those given, or those of a version's training where they lie in ``data/`` unchanged.

    Raises:
        InputError: there are none, or they are another version and were not asked for.
    """
    from sss_model.data.manifest import build_manifest, write_manifest
    from sss_model.files import sha256

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
    from sss_model.checkpoint import load_checkpoint

    place = fetch_checkpoint(name, version, folder)
    try:
        return load_checkpoint(place)
    except InputError as error:
        raise InputError(f"{name} version {version}: {str(error).replace(str(folder), 'its checkpoint')}") from None


def unseen_cases(manifest: Manifest, models: Mapping[str, Meta], *, least: int) -> tuple[Case, ...]:
    """The labelled test cases of patients whom no model saw, by name or by the content of an image.

    Args:
        manifest: the data to score on.
        models: what to call a model, and what its checkpoint says of itself.
        least: patients that there must be.

    Raises:
        InputError: there are fewer; the sentence lists who is left and why the others are not.
    """
    cases = [case for case in manifest.split("test") if case.labelled]
    seen: dict[str, str] = {}
    for case in cases:
        for name, meta in models.items():
            reason = _seen_as(case, meta)
            if reason:
                seen.setdefault(case.patient, f"{case.patient} ({name} {reason})")
    left = tuple(case for case in cases if case.patient not in seen)
    patients = sorted({case.patient for case in left})
    if len(patients) < least:
        out = f", not {', '.join(seen[patient] for patient in sorted(seen))}" if seen else ""
        who = f"{len(patients)} ({', '.join(patients)}{out})" if patients or out else "0"
        raise InputError(
            f"test patients that neither model saw: {who.replace('(, ', '(')}; "
            f"expected at least {least} (promotion.min_patients)"
        )
    return left


def _seen_as(case: Case, meta: Meta) -> str | None:
    for role, patients in meta.patients.model_dump().items():
        if case.patient in patients:
            return f"saw the patient as {role}"
    for images in (meta.images.model_dump() if meta.images else {}).values():
        if case.image_sha256 in images:
            return "saw the same image under another name"
    return None
