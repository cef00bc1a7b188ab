"""Rollback: the champion before this one becomes champion again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.registry.aliases import Move, move_aliases
from sss_ops.registry.decisions import decisions_of, new_record
from sss_ops.registry.versions import CHAMPION, PREVIOUS, find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_ops.registry.aliases import Intent, ModelState


def roll_back(client: MlflowClient, name: str, *, reason: str = "") -> Intent:
    """Swap ``champion`` and ``previous``; put back the last decision's champion where it was moved by hand.

    Raises:
        InputError: there is no model of that name, nothing to go back to, or that version never was a champion.
    """

    def plan(state: ModelState) -> Move:
        if state.moved_by_hand and state.audited:
            return _restore(client, state, reason)
        return _swap(client, state, reason)

    return move_aliases(client, name, plan)


def _restore(client: MlflowClient, state: ModelState, reason: str) -> Move:
    target = state.audited
    if target is None or find_version(client, state.name, target) is None:
        raise InputError(
            f"{state.name}: version {target}, the champion that passed the promotion checks, was deleted; promote one"
        )
    return Move({CHAMPION: target}, new_record("restore", old=state.champion, new=target, reason=reason))


def _swap(client: MlflowClient, state: ModelState, reason: str) -> Move:
    target, current = state.aliases.get(PREVIOUS), state.champion
    if target is None or current is None:
        missing = PREVIOUS if target is None else CHAMPION
        raise InputError(f"{state.name}: no version has the alias {missing}; expected an earlier champion")
    version = find_version(client, state.name, target)
    if version is None or not decisions_of(version.tags):
        raise InputError(
            f"{state.name}: version {target} has the alias {PREVIOUS} but no promotion ever made it champion; "
            "expected one that was champion, promote it"
        )
    record = new_record("rollback", old=current, new=target, reason=reason)
    return Move({CHAMPION: target, PREVIOUS: current}, record)
