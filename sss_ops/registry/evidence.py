"""A version's checkpoint and the evidence for it, fetched from MLflow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sss_model.errors import InputError
from sss_model.evaluation.audit import audit
from sss_model.files import sha256
from sss_ops.checksums import FILE, changed_since, write_sums
from sss_ops.registry.scoring import fetch_checkpoint, reason_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


# What a registration keeps with the version's run, so that an audit and a release need nothing else.
#
# One folder a registration, named by its content: a training can be evaluated and registered again, and what its first
# version rests on must stay. The hash of the folder's ``SHA256SUMS`` is a tag of the version.


TAG = "evidence_sha256"
CHECKPOINT = "checkpoint"
"""Where an audit looks for the weights, which are kept as the model."""
_ROOT = "evidence"


@contextmanager
def proven(files: Mapping[str, Path], checkpoint: Path) -> Iterator[Path]:
    """A folder of what an evaluation left, for the length of a ``with`` block, once an audit finds nothing against it.

    Args:
        files: name that an audit knows it by, and where that file or folder lies; nothing is copied.
        checkpoint: what was evaluated; it isn't in the folder, being kept as the model.

    Raises:
        InputError: the files contradict one another, or the checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="sss-") as name:
        folder = Path(name)
        for place, source in {**files, CHECKPOINT: checkpoint}.items():
            _link(source, folder / place)
        _refuse_contradictions(folder)
        shutil.rmtree(folder / CHECKPOINT)
        yield folder


def _link(source: Path, target: Path) -> None:
    """Link a file, or all files of a folder one by one: MLflow does not follow links to folders."""
    if not source.exists():
        raise InputError(f"{source}: no such file; expected what an earlier step writes")
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file():
            link = target / path.relative_to(source) if source.is_dir() else target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def _refuse_contradictions(folder: Path) -> None:
    try:
        findings = audit(folder).findings
    except InputError as error:
        findings = [str(error)]
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise InputError(
            f"the evaluation can't be registered: {findings[0].replace(f'{folder}/', '')}{more}; "
            "evaluate this checkpoint again with `sss evaluate`"
        )


def keep(client: MlflowClient, run_id: str, folder: Path) -> str:
    """Store a folder of evidence with a run; returns its hash, which `TAG` is to say."""
    digest = write_sums(folder)
    client.log_artifacts(run_id, str(folder), place_of(digest))
    return digest


def place_of(digest: str) -> str:
    """Where evidence of this hash lies among a run's artifacts."""
    return f"{_ROOT}/{digest[:16]}"


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
