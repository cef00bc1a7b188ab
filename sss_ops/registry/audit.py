"""An audit of a version, from what MLflow holds of it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.registry.evidence import CHECKPOINT, TAG, Kept, fetched

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from sss_model.checkpoint import Meta
    from sss_model.evaluation.audit import Audit


# What a version says of itself in its tags.


def tags_of(meta: Meta, scores: dict[str, Any]) -> dict[str, str]:
    """The tags of a version; what is not known has none.

    Args:
        meta: of its checkpoint.
        scores: content of ``metrics.json``.
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
    """Fetch what was kept of a version, and audit it; raises `InputError` where nothing was."""
    with fetched(client, version) as kept:
        return prove(version, kept)


def prove(version: ModelVersion, kept: Kept) -> Audit:
    """Audit what was kept with a version, and check that it and the version's tags are as registered."""
    from sss_model.evaluation.audit import Audit, audit

    found = audit(kept.folder)
    facts = [
        ("model", f"{version.name} version {version.version}, run {version.run_id}"),
        *found.facts,
        ("evidence", version.tags[TAG]),
    ]
    findings = [finding.replace(f"{kept.folder}/", "") for finding in found.findings]
    known = {finding.split(":")[0] for finding in findings}
    findings += [sentence for sentence in kept.changed if sentence.split(":")[0] not in known]
    return Audit(facts, [*findings, *_changed_tags(version, kept)])


def _changed_tags(version: ModelVersion, kept: Kept) -> Iterator[str]:
    from sss_model.checkpoint import read_meta

    try:
        meta = read_meta(kept.folder / CHECKPOINT / "meta.json")
        scores = json.loads((kept.folder / "metrics.json").read_text(encoding="utf-8"))
        expected = tags_of(meta, scores)
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return  # the audit has said that it can't be read
    for key, value in expected.items():
        if version.tags.get(key) != value:
            yield f"tag {key}: {version.tags.get(key, 'missing')}; expected {value}, as registered"
