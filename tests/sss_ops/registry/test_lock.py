"""One holder at a time, and none for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import mlflow
import pytest
from support.registry import Dying, Killed, locks

from sss_model.errors import InputError
from sss_ops.registry.lock import LEASE_SECONDS, LOCK_PREFIX, hold_lock

AFTER_TAKING_OVER = 3  # calls that succeed: look, rename, make


def die_holding(store: mlflow.MlflowClient, who: str = "dead", *, after: int = 1) -> None:
    """Take the lock and never give it back: the process ends with the call that made it."""
    with suppress(Killed), hold_lock(Dying(store, after=after), "heart", who=who, wait=0):  # type: ignore[arg-type]
        pytest.fail("outlived its call")


def test_a_lock_is_held_and_given_back(store: mlflow.MlflowClient) -> None:
    with hold_lock(store, "heart", who="ann"):
        assert locks(store) == [LOCK_PREFIX + "heart"]
    assert locks(store) == []


def test_a_second_holder_waits_and_is_told_who_is_first(store: mlflow.MlflowClient) -> None:
    said: list[str] = []
    with (
        hold_lock(store, "heart", who="ann"),
        pytest.raises(InputError, match="heart: ann is changing its aliases just now; expected nobody else"),
        hold_lock(store, "heart", who="bob", wait=0.3, notify=said.append),
    ):
        pytest.fail("two hold the lock")
    assert said == ["heart: ann is changing its aliases just now; waiting"]
    with hold_lock(store, "heart", who="bob", wait=0):
        pass


def test_other_models_have_locks_of_their_own(store: mlflow.MlflowClient) -> None:
    with hold_lock(store, "heart", who="ann"), hold_lock(store, "liver", who="bob", wait=0):
        assert len(locks(store)) == 2


def test_an_error_gives_the_lock_back(store: mlflow.MlflowClient) -> None:
    with pytest.raises(ZeroDivisionError), hold_lock(store, "heart", who="ann"):
        raise ZeroDivisionError
    assert locks(store) == []


def test_a_dead_holder_s_lock_runs_out(store: mlflow.MlflowClient, pass_time: Callable[[float], None]) -> None:
    die_holding(store, "ann")
    pass_time(LEASE_SECONDS - 5)
    with pytest.raises(InputError, match="ann is changing"), hold_lock(store, "heart", who="bob", wait=0):
        pytest.fail("taken while it was good")
    pass_time(10)
    with hold_lock(store, "heart", who="bob", wait=0):
        assert LOCK_PREFIX + "heart" in locks(store)
    assert LOCK_PREFIX + "heart" not in locks(store)


def test_a_holder_that_was_too_slow_writes_no_more_and_leaves_the_next_one_s_lock(
    store: mlflow.MlflowClient, pass_time: Callable[[float], None]
) -> None:
    with hold_lock(store, "heart", who="ann") as slow:
        pass_time(LEASE_SECONDS + 1)
        with pytest.raises(InputError, match="MLflow took too long, the lock would run out"):
            slow.check()
        die_holding(store, "bob", after=AFTER_TAKING_OVER)
    assert LOCK_PREFIX + "heart" in locks(store)
    assert store.get_registered_model(LOCK_PREFIX + "heart").tags["who"] == "bob"


def test_of_two_that_find_a_lock_expired_the_slower_can_not_take_the_faster_one_s(
    store: mlflow.MlflowClient, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    die_holding(store)
    pass_time(LEASE_SECONDS + 1)
    rename = store.rename_registered_model

    def slow_rename(name: str, new_name: str) -> None:
        # Between the slower one's look at the lock and its rename, the faster one takes it over.
        monkeypatch.setattr(store, "rename_registered_model", rename)
        die_holding(store, "faster", after=AFTER_TAKING_OVER)
        rename(name, new_name)

    monkeypatch.setattr(store, "rename_registered_model", slow_rename)
    with pytest.raises(InputError, match="faster is changing"), hold_lock(store, "heart", who="slower", wait=0):
        pytest.fail("two hold the lock")
    assert store.get_registered_model(LOCK_PREFIX + "heart").tags["who"] == "faster"


def test_what_is_left_of_expired_locks_goes_later(
    store: mlflow.MlflowClient, pass_time: Callable[[float], None]
) -> None:
    die_holding(store)
    pass_time(LEASE_SECONDS + 1)
    with hold_lock(store, "heart", who="bob"):
        pass
    assert len(locks(store)) == 1
    pass_time(11 * LEASE_SECONDS)
    with hold_lock(store, "heart", who="bob"):
        pass
    assert locks(store) == []


def test_a_lost_answer_does_not_lock_its_own_holder_out(
    store: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.create_registered_model

    def twice(name: str, tags: dict[str, str]) -> object:
        create(name, tags)
        return create(name, tags)

    monkeypatch.setattr(store, "create_registered_model", twice)
    with hold_lock(store, "heart", who="ann", wait=0):
        assert locks(store) == [LOCK_PREFIX + "heart"]
    assert locks(store) == []
