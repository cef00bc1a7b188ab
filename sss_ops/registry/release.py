"""The release folder of a version: what a reviewer or an operator asks for, made from MLflow alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.checksums import write_sums
from sss_ops.registry.aliases import read_state
from sss_ops.registry.decisions import approval_status, decisions_of
from sss_ops.registry.evidence import audit_evidence, fetched_evidence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from sss_model.evaluation.audit import Audit
    from sss_ops.registry.aliases import ModelState

_FROM_EVIDENCE = {
    "model_card.md": "model_card.md",
    "sbom.cdx.json": "sbom.cdx.json",
    "evaluation/report.html": "report.html",
    "evaluation/cases.csv": "cases.csv",
    "evaluation/summary.json": "summary.json",
    "evaluation/overlays": "overlays",
    "evaluation/provenance.json": "provenance.json",
    "metrics.json": "metrics.json",
    "manifest.csv": "manifest.csv",
    "data_version.json": "data_version.json",
    "validation.html": "validation.html",
}


def write_release(
    client: MlflowClient, version: ModelVersion, output: Path, *, replace: bool = False
) -> dict[str, Any]:
    """Write the release folder of a version, whole or not at all.

    Args:
        version: to release; it need not be approved.
        output: folder to write.
        replace: whether a folder that is there and not empty gives way.

    Returns:
        The content of ``approval.json``, see `approval_of`.

    Raises:
        InputError: `output` is in the way, no evidence was kept with the version, or it has changed since it was
            registered.
    """
    _check_free(output, replace=replace)
    approval = approval_of(version, read_state(client, version.name))
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        fetched_evidence(client, version) as kept,
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name,
    ):
        found = audit_evidence(version, kept)
        _refuse_contradictions(version, found)
        staged = Path(name, "new")
        staged.mkdir()
        for source, target in _FROM_EVIDENCE.items():
            shutil.move(kept.folder / source, staged / target)  # they may lie on different disks
        _write_approval(client, version, approval, staged)
        (staged / "audit.txt").write_text(found.as_text(), encoding="utf-8")
        write_sums(staged)
        if output.exists():
            output.rename(Path(name, "old"))
        staged.rename(output)
    return approval


def approval_of(version: ModelVersion, state: ModelState) -> dict[str, Any]:
    """The approval of a version, as JSON types: who made it the champion, when, why and by which numbers.

    Args:
        version: with its tags.
        state: of its model.

    Returns:
        ``status``, see `approval_status`; ``decision``: the last one that made it the champion, None where none did;
        ``decisions``: all that concern it, the oldest first; ``warning``: a sentence where the champion was moved by
        hand, else None.
    """
    number = str(version.version)
    decisions = decisions_of(version.tags)
    made = [decision for decision in decisions if str(decision.get("to")) == number]
    return {
        "model": version.name,
        "version": number,
        "status": approval_status(number, decisions),
        "decision": made[-1] if made else None,
        "decisions": decisions,
        "champion": state.champion,
        "warning": state.hand_edit(),
    }


def _check_free(output: Path, *, replace: bool) -> None:
    if output.is_file():
        raise InputError(f"{output}: a file is there; expected a new folder")
    if output.is_dir() and any(output.iterdir()) and not replace:
        raise InputError(f"{output}: not empty; expected a new folder, or --replace")


def _refuse_contradictions(version: ModelVersion, found: Audit) -> None:
    if found.findings:
        more = f" (and {len(found.findings) - 1} more)" if len(found.findings) > 1 else ""
        raise InputError(
            f"{version.name} version {version.version} is not released: {found.findings[0]}{more}; "
            f"`sss audit models:/{version.name}/{version.version}` tells all"
        )


def _write_approval(client: MlflowClient, version: ModelVersion, approval: dict[str, Any], folder: Path) -> None:
    """Write ``approval.json``, and the scores that each promotion of the version rests on."""
    (folder / "approval.json").write_text(json.dumps(approval, indent=2) + "\n", encoding="utf-8")
    run_id = str(version.run_id)
    for decision in approval["decisions"]:
        place = f"promotion/{decision['id']}"
        # The scores of a promotion that replaced this version are kept with the other version's run.
        if client.list_artifacts(run_id, place):
            with tempfile.TemporaryDirectory(prefix="sss-") as name:
                shutil.copytree(client.download_artifacts(run_id, place, name), folder / place)
