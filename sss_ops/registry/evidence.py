"""The evidence for a version: the files of its evaluation, kept with its run in MLflow, fetched and audited.

A registration makes one folder among the run's artifacts, named by its content: a training can be evaluated and
registered again, and the evidence for its first version must stay. The hash of the folder's ``SHA256SUMS`` is a tag of
the version.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.checksums import SUMS_FILE, changed_since, hash_folder, sums_text
from sss_ops.registry.versions import download_failure, fetch_checkpoint

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from sss_model.checkpoint import Meta
    from sss_model.evaluation.audit import Audit, EvaluationFiles

EVIDENCE_TAG = "evidence_sha256"
_ROOT = "evidence"
_CHECKPOINT = "checkpoint"  # where an audit looks for the weights, which are kept as the model


@dataclass(frozen=True)
class Evidence:
    """The files to keep with a version, where the steps left them.

    Attributes:
        files: of the evaluation; the checkpoint among them is kept as the model.
        data_checks: report of the data checks.
    """

    files: EvaluationFiles
    data_checks: Path

    def refuse_contradictions(self) -> None:
        """Audit the files; raises `InputError` where one is missing, or contradicts another or the checkpoint."""
        from sss_model.evaluation.audit import audit_files

        for path in self._kept().values():
            if not path.exists():
                raise InputError(f"{path}: no such file; expected what an earlier step writes")
        try:
            findings = audit_files(self.files).findings
        except InputError as error:
            findings = [str(error)]
        if findings:
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            raise InputError(
                f"the evaluation can't be registered: {self._by_name(findings[0])}{more}; "
                "evaluate this checkpoint again with `sss evaluate`"
            )

    def log(self, client: MlflowClient, run_id: str, documents: Mapping[str, str]) -> str:
        """Store the files, and texts by name, with a run; returns the hash for `EVIDENCE_TAG`."""
        hashes = {name: _sha256_of(text) for name, text in documents.items()}
        for name, path in self._kept().items():
            if path.is_dir():
                hashes |= {f"{name}/{file}": digest for file, digest in hash_folder(path).items()}
            else:
                hashes[name] = sha256(path)
        sums = sums_text(hashes)
        place = evidence_place(_sha256_of(sums))
        for name, path in self._kept().items():
            if path.is_dir():
                client.log_artifacts(run_id, str(path), f"{place}/{name}")
            else:  # a file may be called otherwise here
                client.log_text(run_id, path.read_bytes().decode(), f"{place}/{name}")
        for name, text in {**documents, SUMS_FILE: sums}.items():
            client.log_text(run_id, text, f"{place}/{name}")
        return _sha256_of(sums)

    def _kept(self) -> dict[str, Path]:
        """Name in the evidence to file or folder here."""
        return {
            "metrics.json": self.files.metrics,
            "evaluation": self.files.evaluation,
            "predictions": self.files.predictions,
            "manifest.csv": self.files.manifest,
            "data_version.json": self.files.data_version,
            "validation.html": self.data_checks,
        }

    def _by_name(self, finding: str) -> str:
        """A finding that opens with a path here, with the name in the evidence instead."""
        named = {str(path): name for name, path in {**self._kept(), _CHECKPOINT: self.files.checkpoint}.items()}
        found = max((path for path in named if finding.startswith(path)), key=len, default=None)
        return finding if found is None else named[found] + finding[len(found) :]


def evidence_place(digest: str) -> str:
    """The folder of the evidence with this hash, among a run's artifacts."""
    return f"{_ROOT}/{digest[:16]}"


class KeptEvidence(NamedTuple):
    """A version's evidence and checkpoint in a folder that can be audited, and a sentence for each change in it."""

    folder: Path
    changed: list[str]


@contextmanager
def fetched_evidence(client: MlflowClient, version: ModelVersion) -> Iterator[KeptEvidence]:
    """Fetch the evidence of a version and its checkpoint, for the length of a ``with`` block.

    Raises:
        InputError: the version was registered without evidence, or MLflow can't give it.
    """
    name = f"{version.name} version {version.version}"
    digest = version.tags.get(EVIDENCE_TAG)
    if not digest or not version.run_id:
        raise InputError(
            f"{name}: no evaluation was kept with it; expected a version made by `sss register` from manifest.csv, "
            "predictions and evaluation, register it again"
        )
    with tempfile.TemporaryDirectory(prefix="sss-") as temporary:
        folder = _download(client, str(version.run_id), digest, Path(temporary), what=name)
        changed = _changed(folder, digest)
        checkpoint = fetch_checkpoint(version.name, str(version.version), Path(temporary, "model"))
        checkpoint.rename(folder / _CHECKPOINT)
        yield KeptEvidence(folder, changed)


def version_tags(meta: Meta, scores: dict[str, Any]) -> dict[str, str]:
    """The tags that describe a version; what is not known has none.

    Args:
        meta: of its checkpoint.
        scores: content of ``summary.json``.
    """
    tags = {
        "data_version": meta.data_version,
        "manifest_sha256": meta.manifest_sha256,
        "git_revision": meta.git_revision,
        "image_digest": meta.image_digest,
        "dice": scores["dice"],
        **{f"dice_{name}": of_class["dice"] for name, of_class in scores["per_class"].items()},
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def audit_version(client: MlflowClient, version: ModelVersion) -> Audit:
    """Audit a version from what MLflow holds of it alone; raises `InputError` where no evidence was kept."""
    with fetched_evidence(client, version) as kept:
        return audit_evidence(version, kept)


def audit_evidence(version: ModelVersion, kept: KeptEvidence) -> Audit:
    """Audit a version's evidence, and compare it and the version's tags with what was registered."""
    from sss_model.evaluation.audit import Audit, audit

    found = audit(kept.folder)
    facts = [
        ("model", f"{version.name} version {version.version}, run {version.run_id}"),
        *found.facts,
        ("evidence", version.tags[EVIDENCE_TAG]),
    ]
    findings = [finding.replace(f"{kept.folder}/", "") for finding in found.findings]
    known = {finding.split(":")[0] for finding in findings}
    findings += [sentence for sentence in kept.changed if sentence.split(":")[0] not in known]
    return Audit(facts, [*findings, *_changed_tags(version, kept)])


def _changed_tags(version: ModelVersion, kept: KeptEvidence) -> Iterator[str]:
    from sss_model.checkpoint import read_meta
    from sss_model.evaluation.summary import SUMMARY_FILE

    try:
        meta = read_meta(kept.folder / _CHECKPOINT / "meta.json")
        scores = json.loads((kept.folder / "evaluation" / SUMMARY_FILE).read_text(encoding="utf-8"))
        expected = version_tags(meta, scores)
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return  # a finding of the audit already
    for key, value in expected.items():
        if version.tags.get(key) != value:
            yield f"tag {key}: {version.tags.get(key, 'missing')}; expected {value}, as registered"


def _download(client: MlflowClient, run_id: str, digest: str, into: Path, *, what: str) -> Path:
    from mlflow.exceptions import MlflowException

    place = evidence_place(digest)
    try:
        if not client.list_artifacts(run_id, place):
            raise InputError(f"{what}: its run {run_id} holds no {place}; expected what `sss register` kept there")
        return Path(client.download_artifacts(run_id, place, str(into)))
    except (MlflowException, OSError) as error:
        reason = download_failure(error)
        raise InputError(f"{what}: its evaluation can't be fetched from MLflow ({reason})") from None


def _changed(folder: Path, digest: str) -> list[str]:
    try:
        changed = changed_since(folder)
    except InputError as error:
        return [str(error)]
    found = sha256(folder / SUMS_FILE)
    if found != digest:
        changed.append(
            f"{SUMS_FILE}: changed, SHA-256 {found}; expected {digest}, as the version's tag {EVIDENCE_TAG} says"
        )
    return changed


def _sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
