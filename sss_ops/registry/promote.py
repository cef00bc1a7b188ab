"""A version becomes the champion, if it passes the gate."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.registry.decisions import new_id, new_record
from sss_ops.registry.move import Move, move
from sss_ops.registry.promotion_rules import Verdict, judge
from sss_ops.registry.scoring import data_for, fetched, score, unseen_cases
from sss_ops.registry.state import CHALLENGER, CHAMPION, PREVIOUS, State, read_state
from sss_ops.registry.versions import find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_model.config import Config
    from sss_model.evaluation.metrics import Score
    from sss_ops.registry.intent import Intent


@dataclass(frozen=True)
class Trial:
    """A version measured against the champion.

    Attributes:
        name, version: the challenger.
        champion: the version it was compared with, None where there was none.
        verdict: the gate's.
        scores: rows of ``cases.csv`` by role, ``champion`` and ``challenger``.
        data: what they were scored on: the folder's name, and its data version where it is that of the training.
    """

    name: str
    version: str
    champion: str | None
    verdict: Verdict
    scores: dict[str, list[Score]]
    data: dict[str, str]


def measure(client: MlflowClient, name: str, version: str, recipe: Config, *, data: Path | None = None) -> Trial:
    """Score champion and challenger on the same test patients, and judge; nothing in the registry changes.

    Args:
        name, version: the challenger.
        recipe: its section ``promotion`` says what must hold, its ``seed`` draws the patients.
        data: data set in the canonical layout; by default that of the challenger's training, in ``data/``.

    Raises:
        InputError: there is no such version or it is the champion already, the data can't be used, or too few test
            patients are new to both.
    """
    state = read_state(client, name)
    champion = _opponent(client, state, version)
    with fetched(name, [version] if champion is None else [version, champion]) as checkpoints:
        folder, manifest = data_for(name, version, checkpoints[version], data)
        metas = {f"version {number}": checkpoint.meta for number, checkpoint in checkpoints.items()}
        cases = unseen_cases(manifest, metas, least=recipe.promotion.min_patients)
        scores = {}
        for number, checkpoint in checkpoints.items():
            print(f"scoring version {number}", flush=True)
            scores[number] = score(checkpoint, cases, manifest=manifest, data_dir=folder)
    verdict = judge(scores.get(champion or ""), scores[version], recipe.promotion, seed=recipe.seed)
    roles = {CHALLENGER: scores[version], **({CHAMPION: scores[champion]} if champion else {})}
    meta = metas[f"version {version}"]
    seen = {"data": folder.resolve().name, "data_version": meta.data_version if data is None else "given"}
    return Trial(name, version, champion, verdict, roles, seen)


def promote(client: MlflowClient, trial: Trial, *, reason: str = "") -> Intent:
    """Move ``champion`` to the challenger and ``previous`` to the champion, if the gate holds.

    The rows it rests on are kept with the version's run, under ``promotion/``.

    Raises:
        InputError: the gate does not hold, or the champion changed since it was measured; the registry is as it was.
    """
    objections = trial.verdict.objections
    if objections:
        raise InputError(f"{trial.name} version {trial.version} is not promoted: {'; '.join(objections)}")
    id = new_id()

    def plan(state: State) -> Move:
        _refuse_changed(client, state, trial)
        _keep_rows(client, trial, id)
        after: dict[str, str | None] = {CHAMPION: trial.version}
        if trial.champion:
            after[PREVIOUS] = trial.champion
        if state.aliases.get(CHALLENGER) == trial.version:
            after[CHALLENGER] = None
        numbers: dict[str, Any] = {**trial.data, **trial.verdict.numbers()}
        return Move(after, new_record("promote", old=trial.champion, new=trial.version, reason=reason, **numbers))

    return move(client, trial.name, plan, id=id)


def _opponent(client: MlflowClient, state: State, version: str) -> str | None:
    """The version to compare with; None for the first champion."""
    if find_version(client, state.name, version) is None:
        raise InputError(f"{state.name}: no version {version}; expected one that `sss registry {state.name}` lists")
    if state.champion == version and not state.moved_by_hand:
        raise InputError(f"{state.name}: version {version} is the champion already; expected another")
    # Whom a hand put there passed no gate: the one to beat is the last that did.
    opponent = state.audited if state.moved_by_hand and state.audited else state.champion
    if opponent is None or opponent == version or find_version(client, state.name, opponent) is None:
        return None
    return opponent


def _refuse_changed(client: MlflowClient, state: State, trial: Trial) -> None:
    if find_version(client, state.name, trial.version) is None:
        raise InputError(f"{state.name}: version {trial.version} was deleted meanwhile; nothing was changed")
    found = _opponent(client, state, trial.version)
    if found != trial.champion:
        raise InputError(
            f"{state.name}: the champion is version {found} now and was "
            f"{f'version {trial.champion}' if trial.champion else 'none'} when it was measured; run the command again"
        )


def _keep_rows(client: MlflowClient, trial: Trial, id: str) -> None:
    from sss_model.evaluation.tables import write_scores

    version = find_version(client, trial.name, trial.version)
    if version is None or not version.run_id:
        return
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        for role, scores in trial.scores.items():
            file = Path(folder, f"{role}.csv")
            write_scores(scores, file)
            client.log_artifact(version.run_id, str(file), f"promotion/{id}")
