"""Aliases: promotion, rollback, what they leave behind, and what `sss registry` shows."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from support.registry import MODEL, Dying, Killed, die, locks, refuse_inconsistent, run_races, trial

from sss_model.errors import InputError
from sss_ops.registry.aliases import finish_decision, read_state
from sss_ops.registry.commands import list_versions, listing_table, model_names
from sss_ops.registry.decisions import decisions_of
from sss_ops.registry.lock import LEASE_SECONDS, hold_lock
from sss_ops.registry.promotion import promote_version
from sss_ops.registry.rollback import roll_back


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    return read_state(client, MODEL).aliases


def test_a_promotion_moves_both_aliases_and_leaves_a_record(
    registry: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    registry.set_registered_model_alias(MODEL, "challenger", "2")
    promote_version(registry, trial("2", "1"), reason="more labels")
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    refuse_inconsistent(registry)
    for version in ("1", "2"):
        record = decisions_of(registry.get_model_version(MODEL, version).tags)[-1]
        assert (record["action"], record["who"], record["why"]) == ("promote", "ann", "more labels")
        assert (record["from"], record["to"], record["patients"]) == ("1", "2", 3)
        assert record["dice"]["mean"]["interval"] == [0.05, 0.15]
    assert locks(registry) == []


def test_a_newer_challenger_stays_the_challenger(registry: mlflow.MlflowClient) -> None:
    registry.set_registered_model_alias(MODEL, "challenger", "3")
    promote_version(registry, trial("2", "1"))
    assert aliases(registry)["challenger"] == "3"


def test_a_check_that_does_not_hold_changes_nothing(registry: mlflow.MlflowClient) -> None:
    before = registry.get_registered_model(MODEL)
    with pytest.raises(InputError, match="heart version 2 is not promoted: RV: worse"):
        promote_version(registry, trial("2", "1", objection="RV: worse"))
    after = registry.get_registered_model(MODEL)
    assert (after.aliases, after.tags) == (before.aliases, before.tags)
    assert decisions_of(registry.get_model_version(MODEL, "2").tags) == []


def test_a_champion_that_changed_since_it_was_measured_is_not_replaced(registry: mlflow.MlflowClient) -> None:
    promote_version(registry, trial("3", "1"))
    with pytest.raises(InputError, match="the champion is version 3 now and was version 1 when it was measured"):
        promote_version(registry, trial("2", "1"))
    assert aliases(registry) == {"champion": "3", "previous": "1"}


def test_rollback_and_back_again(registry: mlflow.MlflowClient) -> None:
    promote_version(registry, trial("2", "1"))
    roll_back(registry, MODEL, reason="misses clots")
    assert aliases(registry) == {"champion": "1", "previous": "2"}
    assert decisions_of(registry.get_model_version(MODEL, "2").tags)[-1]["why"] == "misses clots"
    roll_back(registry, MODEL)
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    refuse_inconsistent(registry)


def test_the_first_champion_has_nothing_to_roll_back_to(registry: mlflow.MlflowClient) -> None:
    with pytest.raises(InputError, match="no version has the alias previous"):
        roll_back(registry, MODEL)


def test_a_hand_edit_is_seen_and_rollback_undoes_it(registry: mlflow.MlflowClient) -> None:
    promote_version(registry, trial("2", "1"))
    registry.set_registered_model_alias(MODEL, "champion", "4")
    state = read_state(registry, MODEL)
    assert state.moved_by_hand
    assert "champion is version 4, but the one that passed the promotion checks is version 2" in str(state.hand_edit())
    roll_back(registry, MODEL)
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    refuse_inconsistent(registry)


def test_taking_the_champion_s_alias_away_is_no_way_round_the_comparison(registry: mlflow.MlflowClient) -> None:
    registry.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(InputError, match="the champion is version 1 now and was none when it was measured"):
        promote_version(registry, trial("2", None))


def test_rollback_to_a_version_that_a_hand_called_previous_is_refused(registry: mlflow.MlflowClient) -> None:
    promote_version(registry, trial("2", "1"))
    registry.set_registered_model_alias(MODEL, "previous", "4")
    with pytest.raises(InputError, match="version 4 has the alias previous but no promotion ever made it champion"):
        roll_back(registry, MODEL)


def test_an_unknown_model_is_refused_and_gets_no_lock(store: mlflow.MlflowClient) -> None:
    with pytest.raises(InputError, match="liver: no such model in MLflow"):
        roll_back(store, "liver")
    assert locks(store) == []


@pytest.mark.parametrize(
    "following",
    ["rollback", *(pytest.param(command, marks=pytest.mark.acceptance) for command in ("promote", "registry"))],
)
def test_a_kill_after_any_call_leaves_what_the_next_command_puts_right(
    registry: mlflow.MlflowClient, pass_time: Callable[[float], None], following: str
) -> None:
    promote_version(registry, trial("2", "1"))
    for after in range(1, 100):
        old = str(read_state(registry, MODEL).champion)
        new = "2" if old == "1" else "1"
        dying = Dying(registry, after=after)
        try:
            promote_version(dying, trial(new, old))  # type: ignore[arg-type]
            break
        except Killed:
            pass
        pass_time(LEASE_SECONDS + 1)
        state = read_state(registry, MODEL)
        decided = state.pending or state.champion == new
        if following == "registry":
            assert (finish_decision(registry, MODEL) is not None) == state.pending
            champion = read_state(registry, MODEL).champion
        elif following == "rollback":
            roll_back(registry, MODEL)
            champion = read_state(registry, MODEL).aliases["previous"]
        else:
            current = new if decided else old
            promote_version(registry, trial("3", current))
            champion = read_state(registry, MODEL).aliases["previous"]
            refuse_inconsistent(registry)
            promote_version(registry, trial(current, "3"))
        assert champion == (new if decided else old)
        refuse_inconsistent(registry)
    assert 10 < after < 99


def test_a_decision_whose_version_is_gone_is_undone(
    registry: mlflow.MlflowClient, pass_time: Callable[[float], None]
) -> None:
    promote_version(registry, trial("2", "1"))
    after = 1
    while not read_state(registry, MODEL).pending:
        pass_time(LEASE_SECONDS + 1)
        with pytest.raises(Killed):
            promote_version(Dying(registry, after=after), trial("3", "2"))  # type: ignore[arg-type]
        after += 1
    registry.delete_model_version(MODEL, "3")
    pass_time(LEASE_SECONDS + 1)
    assert "its version 3 is gone; it has been undone" in str(finish_decision(registry, MODEL))
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    refuse_inconsistent(registry)
    promote_version(registry, trial("4", "2"))
    refuse_inconsistent(registry)


def test_a_tag_that_a_hand_spoiled_is_named(registry: mlflow.MlflowClient) -> None:
    registry.set_registered_model_tag(MODEL, "sss.intent", json.dumps({"some": "thing"}))
    with pytest.raises(InputError, match=r"its tag sss\.intent was changed by hand"):
        roll_back(registry, MODEL)


def test_two_promotions_at_once_are_one_after_the_other(registry: mlflow.MlflowClient, tmp_path: Path) -> None:
    run_races(registry, f"sqlite:///{tmp_path}/mlflow.db", rounds=5)


@pytest.mark.acceptance
def test_fifty_times_two_promotions_at_once(registry: mlflow.MlflowClient, tmp_path: Path) -> None:
    run_races(registry, f"sqlite:///{tmp_path}/mlflow.db", rounds=50)


@pytest.mark.acceptance
def test_a_process_that_is_killed_after_any_call(
    registry: mlflow.MlflowClient, tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    promote_version(registry, trial("2", "1"))
    spawn = multiprocessing.get_context("spawn")
    for after in range(1, 100):
        old = str(read_state(registry, MODEL).champion)
        process = spawn.Process(
            target=die, args=(f"sqlite:///{tmp_path}/mlflow.db", "1" if old == "2" else "2", old, after)
        )
        process.start()
        process.join(120)
        pass_time(LEASE_SECONDS + 1)
        finish_decision(registry, MODEL)
        refuse_inconsistent(registry)
        if process.exitcode == 0:
            break
        assert process.exitcode == -9
    assert 10 < after < 99


def test_versions_are_listed_newest_first_with_what_was_decided(
    registry: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    registry.set_model_version_tag(MODEL, "2", "dice", "0.8124")
    promote_version(registry, trial("2", "1"), reason="more [labels]")
    listing = list_versions(registry, MODEL)
    assert [row.version for row in listing.rows] == ["4", "3", "2", "1"]
    two, one = listing.rows[2:]
    assert (two.dice, two.aliases, two.decision, two.who, two.why) == (
        *("0.812", "champion", "promoted over 1"),
        *("ann", "more [labels]"),
    )
    assert (one.dice, one.aliases, one.decision) == ("–", "previous", "replaced by 2")
    assert listing.warnings == ()
    assert "more [labels]" in listing_table(listing)
    roll_back(registry, MODEL)
    assert [row.decision for row in list_versions(registry, MODEL).rows[2:]] == ["rolled back to 1", "rolled back to"]


def test_a_champion_moved_by_hand_is_marked(registry: mlflow.MlflowClient) -> None:
    registry.set_registered_model_alias(MODEL, "champion", "3")
    listing = list_versions(registry, MODEL)
    assert listing.rows[1].aliases == "champion (!)"
    assert "champion is version 3, but the one that passed the promotion checks is version 1: set by hand" in str(
        listing.warnings
    )
    assert "`sss rollback heart` puts it back" in listing_table(listing)


def test_a_champion_that_was_only_ever_set_by_hand_is_marked(registry: mlflow.MlflowClient) -> None:
    registry.create_registered_model("liver")
    registry.create_model_version("liver", "s3://bucket/model")
    registry.set_registered_model_alias("liver", "champion", "1")
    assert "the one that passed the promotion checks is none yet" in str(list_versions(registry, "liver").warnings)


def test_a_half_done_promotion_is_told(registry: mlflow.MlflowClient) -> None:
    for after in range(1, 30):
        with pytest.raises(Killed):
            promote_version(Dying(registry, after=after), trial("2", "1"))  # type: ignore[arg-type]
        if list_versions(registry, MODEL).warnings:
            break
        registry.delete_registered_model("sss-lock.heart") if after > 1 else None
    (warning,) = list_versions(registry, MODEL).warnings
    assert warning.startswith("promote of version 2 by ")
    assert "is not finished" in warning


def test_locks_are_no_models(registry: mlflow.MlflowClient) -> None:
    with hold_lock(registry, MODEL, who="ann"):
        assert model_names(registry) == [MODEL]
