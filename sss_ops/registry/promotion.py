"""Promotion: a version and the champion scored on test patients that neither saw, then the aliases moved."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.registry.aliases import Move, move_aliases, read_state
from sss_ops.registry.decisions import new_decision_id, new_record
from sss_ops.registry.promotion_checks import Verdict, check_promotion
from sss_ops.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, fetch_checkpoint, find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_model.checkpoint import Checkpoint, Meta
    from sss_model.config import Config
    from sss_model.data.manifest import Case, Manifest
    from sss_model.evaluation.metrics import Score
    from sss_ops.registry.aliases import Intent, ModelState


@dataclass(frozen=True)
class ChampionComparison:
    """A version's comparison with the champion.

    Attributes:
        name, version: the challenger.
        champion: the version it was compared with, None where there was none.
        verdict: of the promotion checks.
        scores: rows of ``cases.csv`` by role, ``champion`` and ``challenger``.
        data: what they were scored on: the folder's name, and its data version where it is that of the training.
    """

    name: str
    version: str
    champion: str | None
    verdict: Verdict
    scores: dict[str, list[Score]]
    data: dict[str, str]


def compare_with_champion(
    client: MlflowClient, name: str, version: str, recipe: Config, *, data: Path | None = None
) -> ChampionComparison:
    """Score challenger and champion on the same test patients and check the difference; the registry stays as it is.

    Args:
        name, version: the challenger.
        recipe: its section ``promotion`` sets the checks, its ``seed`` the bootstrap.
        data: data set in the canonical layout; by default that of the challenger's training, in ``data/``.

    Raises:
        InputError: there is no such version or it is the champion already, the data can't be used, or too few test
            patients are new to both.
    """
    champion = _opponent(client, read_state(client, name), version)
    with _fetched_checkpoints(name, [version] if champion is None else [version, champion]) as checkpoints:
        folder, manifest = _data_for(name, version, checkpoints[version], data)
        metas = {f"version {number}": checkpoint.meta for number, checkpoint in checkpoints.items()}
        cases = unseen_cases(manifest, metas, least=recipe.promotion.min_patients)
        scores = {}
        for number, checkpoint in checkpoints.items():
            print(f"scoring version {number}", flush=True)
            scores[number] = _score(checkpoint, cases, manifest=manifest, data_dir=folder)
    verdict = check_promotion(scores.get(champion or ""), scores[version], recipe.promotion, seed=recipe.seed)
    by_role = {CHALLENGER: scores[version], **({CHAMPION: scores[champion]} if champion else {})}
    meta = metas[f"version {version}"]
    scored_on = {"data": folder.resolve().name, "data_version": meta.data_version if data is None else "given"}
    return ChampionComparison(name, version, champion, verdict, by_role, scored_on)


def promote_version(client: MlflowClient, comparison: ChampionComparison, *, reason: str = "") -> Intent:
    """Make the challenger ``champion`` and the champion ``previous``, if the promotion checks hold.

    The scores it rests on are kept with the version's run, under ``promotion/``.

    Raises:
        InputError: a check does not hold, or the champion changed since the comparison; the registry is as it was.
    """
    objections = comparison.verdict.objections
    if objections:
        raise InputError(f"{comparison.name} version {comparison.version} is not promoted: {'; '.join(objections)}")
    id = new_decision_id()

    def plan(state: ModelState) -> Move:
        _refuse_changed(client, state, comparison)
        _keep_scores(client, comparison, id)
        after: dict[str, str | None] = {CHAMPION: comparison.version}
        if comparison.champion:
            after[PREVIOUS] = comparison.champion
        if state.aliases.get(CHALLENGER) == comparison.version:
            after[CHALLENGER] = None
        numbers: dict[str, Any] = {**comparison.data, **comparison.verdict.numbers()}
        return Move(
            after, new_record("promote", old=comparison.champion, new=comparison.version, reason=reason, **numbers)
        )

    return move_aliases(client, comparison.name, plan, id=id)


def unseen_cases(manifest: Manifest, models: Mapping[str, Meta], *, least: int) -> tuple[Case, ...]:
    """The labelled test cases of patients whom no model saw, by the patient's name or the content of an image.

    Args:
        manifest: the data to score on.
        models: name of each model in sentences, and its checkpoint's ``meta.json``.
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


def _opponent(client: MlflowClient, state: ModelState, version: str) -> str | None:
    """The version to compare with; None for the first champion."""
    if find_version(client, state.name, version) is None:
        raise InputError(f"{state.name}: no version {version}; expected one that `sss registry {state.name}` lists")
    if state.champion == version and not state.moved_by_hand:
        raise InputError(f"{state.name}: version {version} is the champion already; expected another")
    # A champion set by hand never passed the checks; compare with the last version that did.
    opponent = state.audited if state.moved_by_hand and state.audited else state.champion
    if opponent is None or opponent == version or find_version(client, state.name, opponent) is None:
        return None
    return opponent


def _refuse_changed(client: MlflowClient, state: ModelState, comparison: ChampionComparison) -> None:
    if find_version(client, state.name, comparison.version) is None:
        raise InputError(f"{state.name}: version {comparison.version} was deleted meanwhile; nothing was changed")
    found = _opponent(client, state, comparison.version)
    if found != comparison.champion:
        raise InputError(
            f"{state.name}: the champion is version {found} now and was "
            f"{f'version {comparison.champion}' if comparison.champion else 'none'} when it was measured; "
            "run the command again"
        )


def _keep_scores(client: MlflowClient, comparison: ChampionComparison, id: str) -> None:
    from sss_model.evaluation.tables import write_scores

    version = find_version(client, comparison.name, comparison.version)
    if version is None or not version.run_id:
        return
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        for role, scores in comparison.scores.items():
            file = Path(folder, f"{role}.csv")
            write_scores(scores, file)
            client.log_artifact(version.run_id, str(file), f"promotion/{id}")


@contextmanager
def _fetched_checkpoints(name: str, versions: list[str]) -> Iterator[dict[str, Checkpoint]]:
    """Fetch and read the checkpoints of some versions of a model, for the length of a ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        yield {version: _read_checkpoint(name, version, Path(folder, version)) for version in versions}


def _read_checkpoint(name: str, version: str, folder: Path) -> Checkpoint:
    from sss_model.checkpoint import load_checkpoint

    fetched = fetch_checkpoint(name, version, folder)
    try:
        return load_checkpoint(fetched)
    except InputError as error:
        raise InputError(f"{name} version {version}: {str(error).replace(str(folder), 'its checkpoint')}") from None


def _score(checkpoint: Checkpoint, cases: tuple[Case, ...], *, manifest: Manifest, data_dir: Path) -> list[Score]:
    """A row per case and class; raises `InputError` where the model saw one of the patients or has other classes."""
    from sss_model.data.manifest import check_content
    from sss_model.evaluation.evaluate import evaluate_cases
    from sss_model.evaluation.leaks import check_evaluable
    from sss_model.inference.predictor import Predictor

    check_evaluable(checkpoint.meta, manifest.labels, cases, split="test")
    check_content(cases, data_dir)
    segment, settings = Predictor(checkpoint).segment, checkpoint.config.evaluation
    return evaluate_cases(segment, cases, labels=manifest.labels, data_dir=data_dir, settings=settings).scores


def _data_for(name: str, version: str, checkpoint: Checkpoint, given: Path | None) -> tuple[Path, Manifest]:
    """The data to score on: those given, or those of the version's training where ``data/`` holds them unchanged."""
    from sss_model.data.manifest import build_manifest, write_manifest

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
