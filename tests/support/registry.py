"""A registry of bare versions, decisions without a measurement, and a client that dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from sss_ops.registry.aliases import Intent, read_state
from sss_ops.registry.decisions import RECORD_TAG, decisions_of
from sss_ops.registry.lock import LEASE_SECONDS, LOCK_PREFIX, hold_lock
from sss_ops.registry.promotion import ChampionComparison, promote_version
from sss_ops.registry.promotion_checks import ClassCheck, Verdict
from sss_ops.registry.rollback import roll_back

MODEL = "heart"


def fill(client: mlflow.MlflowClient, versions: int = 4) -> None:
    """Make versions of `MODEL`; the first is promoted to champion."""
    client.create_registered_model(MODEL)
    for _ in range(versions):
        client.create_model_version(MODEL, "s3://bucket/model")
    promote_version(client, trial("1", None))


def trial(version: str, champion: str | None, *, objection: str | None = None) -> ChampionComparison:
    """A comparison whose checks hold, unless there is an objection."""
    line = ClassCheck("mean", 0.7, 0.8, 0.05, 0.15, None, objection)
    return ChampionComparison(MODEL, version, champion, Verdict((line,), 3, 6), {}, {"data": "phantom"})


def refuse_inconsistent(client: mlflow.MlflowClient) -> Intent:
    """Fail unless aliases, intent, records and locks agree; returns the last decision."""
    state = read_state(client, MODEL)
    assert state.intent is not None
    assert state.intent.state in ("done", "undone")
    assert state.champion == state.audited
    assert not state.moved_by_hand
    wanted = state.intent.after if state.intent.state == "done" else state.intent.before
    assert {alias: state.aliases.get(alias) for alias in wanted} == wanted
    concerned = {version for version in (state.intent.before["champion"], state.intent.after["champion"]) if version}
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        has = RECORD_TAG + state.intent.id in version.tags
        assert has == (state.intent.state == "done" and str(version.version) in concerned)
        for record in decisions_of(version.tags):
            assert len(json.dumps(record)) < 2000
    return state.intent


def locks(client: mlflow.MlflowClient) -> list[str]:
    return [model.name for model in client.search_registered_models() if model.name.startswith(LOCK_PREFIX)]


class Killed(BaseException):
    """What a killed process does from then on: nothing."""


class Dying:
    """A client whose process ends right after some call to the store; no call after that does anything."""

    def __init__(self, client: mlflow.MlflowClient, *, after: int, really: bool = False) -> None:
        self.client, self.after, self.really, self.calls = client, after, really, 0

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if self.calls >= self.after:
                raise Killed
            result = getattr(self.client, name)(*arguments, **named)
            self.calls += 1
            if self.calls >= self.after:
                if self.really:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise Killed
            return result

        return call


def race(uri: str, barrier: Any, orders: Any) -> None:
    """The other process: promote what it is told to, together with its rival, until it is told None."""
    client = mlflow.MlflowClient(uri)
    while (order := orders.recv()) is not None:
        barrier.wait()
        try:
            promote_version(client, trial(*order))
        except Exception as error:
            orders.send(f"{type(error).__name__}: {error}")
        else:
            orders.send("promoted")


def die(uri: str, version: str, champion: str, after: int) -> None:
    """A process of its own that is killed after a call, or ends well."""
    promote_version(Dying(mlflow.MlflowClient(uri), after=after, really=True), trial(version, champion))  # type: ignore[arg-type]


def take_over(uri: str, barrier: Any, orders: Any, flag: Path) -> None:
    """The other process: take a lock that ran out, together with its rival, until it is told None."""
    client = mlflow.MlflowClient(uri)
    while orders.recv() is not None:
        barrier.wait()
        try:
            with hold_lock(client, MODEL, who="racer", wait=60, notify=lambda sentence: None):
                flag.touch(exist_ok=False)
                time.sleep(0.05)
                flag.unlink()
        except Exception as error:
            orders.send(f"{type(error).__name__}: {error}")
        else:
            orders.send("held")


def run_takeovers(client: mlflow.MlflowClient, uri: str, folder: Path, *, rounds: int) -> None:
    """Two processes find at the same moment that a lock ran out: both come to hold it, one after the other."""
    with _racers(take_over, uri, folder / "held") as racers:
        for number in range(rounds):
            client.create_registered_model(
                LOCK_PREFIX + MODEL, {"token": f"dead{number}", "expires": "1", "who": "dead"}
            )
            answers = _ask(racers, [True, True])
            assert answers == ["held", "held"], answers
            assert not [lock for lock in locks(client) if "expired" not in lock]


def run_races(client: mlflow.MlflowClient, uri: str, *, rounds: int) -> None:
    """Two processes promote two versions over the same champion at the same moment, again and again."""
    won = [0, 0]
    with _racers(race, uri) as racers:
        for _ in range(rounds):
            champion = str(read_state(client, MODEL).champion)
            rivals = [version for version in "123" if version != champion]
            answers = _ask(racers, [(version, champion) for version in rivals])
            assert sorted(answers)[1] == "promoted", answers
            assert "when it was measured; run the command again" in sorted(answers)[0]
            winner = answers.index("promoted")
            won[winner] += 1
            assert refuse_inconsistent(client).after == {"champion": rivals[winner], "previous": champion}
            assert not [lock for lock in locks(client) if "expired" not in lock]
    assert sum(won) == rounds


@contextmanager
def _racers(work: Callable[..., None], uri: str, *more: Any) -> Iterator[list[Any]]:
    """Two processes at a barrier, each behind a pipe that gives it orders and brings its answers."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    pipes = [spawn.Pipe() for _ in range(2)]
    processes = [spawn.Process(target=work, args=(uri, barrier, theirs, *more), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    yield [ours for ours, _ in pipes]
    for (ours, _), process in zip(pipes, processes, strict=True):
        ours.send(None)
        process.join(30)
        assert process.exitcode == 0


def _ask(racers: list[Any], orders: list[Any]) -> list[str]:
    for ours, order in zip(racers, orders, strict=True):
        ours.send(order)
    return [ours.recv() if ours.poll(120) else "no answer" for ours in racers]


def go_all_the_way(client: mlflow.MlflowClient, pass_time: Callable[[float], None]) -> None:
    """Promote, roll back, and promote with a death after one call more each time until one leaves a plan; put right."""
    promote_version(client, trial("2", "1"))
    roll_back(client, MODEL)
    assert read_state(client, MODEL).aliases == {"champion": "1", "previous": "2"}
    after = 1
    while not read_state(client, MODEL).pending:
        with pytest.raises(Killed):
            promote_version(Dying(client, after=after), trial("3", "1"))  # type: ignore[arg-type]
        pass_time(LEASE_SECONDS + 1)
        after += 1
    roll_back(client, MODEL)
    assert read_state(client, MODEL).aliases == {"champion": "1", "previous": "3"}
    refuse_inconsistent(client)
