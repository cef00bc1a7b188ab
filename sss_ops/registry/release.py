"""The release folder of a version: all that a person asks for who is to put it to use, made from the registry alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.audit import as_text
from sss_ops.checksums import write_sums
from sss_ops.registry.audit import prove
from sss_ops.registry.evidence import fetched
from sss_ops.registry.intent import AUDIT
from sss_ops.registry.state import CHAMPION, read_state

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from sss_model.evaluation.audit import Audit
    from sss_ops.registry.state import State


# The approval of a version: who made it the champion, when, why and by which numbers; or that nobody did.


APPROVED = "approved"
NOT_APPROVED = "not approved"
REPLACED = "replaced"
WITHDRAWN = "withdrawn"


def approval(version: ModelVersion, state: State) -> dict[str, Any]:
    """The record of a version's approval, as JSON types.

    Args:
        version: with its tags.
        state: of its model.

    Returns:
        ``status``: approved (a decision made it the champion, and it is), replaced (a later promotion, which passed the
        gate, took its place), withdrawn (a rollback did), or not approved (no decision ever made it the champion);
        ``decision``: the one that approved it, the last of several, None where there is none; ``decisions``: all that
        concern it, oldest first; ``warning``: a sentence where the champion was moved by hand, None where it was not.
    """
    number = str(version.version)
    decisions = decisions_of(version)
    made = [decision for decision in decisions if str(decision.get("to")) == number]
    return {
        "model": version.name,
        "version": number,
        "status": _status(number, decisions),
        "decision": made[-1] if made else None,
        "decisions": decisions,
        "champion": state.aliases.get(CHAMPION),
        "warning": state.hand_edit(),
    }


def decisions_of(version: ModelVersion) -> list[dict[str, Any]]:
    """The decisions that concern a version, the oldest first, each with its ``id``, under which its rows are kept."""
    from sss_ops.registry.decisions import records_of

    found = []
    for key in sorted(version.tags):
        if key.startswith(AUDIT):
            found += [{"id": key.removeprefix(AUDIT), **record} for record in records_of({key: version.tags[key]})]
    return found


def _status(version: str, decisions: list[dict[str, Any]]) -> str:
    if not any(str(decision.get("to")) == version for decision in decisions):
        return NOT_APPROVED
    last = decisions[-1]
    if str(last.get("to")) == version:
        return APPROVED
    return REPLACED if last.get("action") == "promote" else WITHDRAWN


_FROM_EVIDENCE = {
    "model_card.md": "model_card.md",
    "sbom.cdx.json": "sbom.cdx.json",
    "evaluation/report.html": "report.html",
    "evaluation/cases.csv": "cases.csv",
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
        output: the new folder, absent or empty unless `replace`.

    Returns:
        The record of the version's approval, see `sss_ops.registry.release`.

    Raises:
        InputError: something is in the way, no evaluation was kept with the version, or what was kept is not as it was
            registered.
    """
    _check_free(output, replace=replace)
    record = approval(version, read_state(client, version.name))
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        fetched(client, version) as kept,
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name,
    ):
        found = prove(version, kept)
        _refuse_contradictions(version, found)
        staged = Path(name, "new")
        staged.mkdir()
        for source, target in _FROM_EVIDENCE.items():
            shutil.move(kept.folder / source, staged / target)  # they may lie on different disks
        _write_approval(client, version, record, staged)
        (staged / "audit.txt").write_text(as_text(found), encoding="utf-8")
        write_sums(staged)
        if output.exists():
            output.rename(Path(name, "old"))
        staged.rename(output)
    return record


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


def _write_approval(client: MlflowClient, version: ModelVersion, record: dict[str, Any], folder: Path) -> None:
    """``approval.json``, and the rows that each promotion of the version rests on."""
    (folder / "approval.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    run_id = str(version.run_id)
    for decision in decisions_of(version):
        place = f"promotion/{decision['id']}"
        # Rows of a promotion that replaced this version are kept with the other one's run.
        if client.list_artifacts(run_id, place):
            with tempfile.TemporaryDirectory(prefix="sss-") as name:
                shutil.copytree(client.download_artifacts(run_id, place, name), folder / place)
