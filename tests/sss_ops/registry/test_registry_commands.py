"""What `sss registry` shows."""

from __future__ import annotations

import mlflow
import pytest
from support.registry import MODEL, Dying, Killed, trial

from sss_ops.registry.commands import list_versions, listing_table, model_names
from sss_ops.registry.lock import hold_lock
from sss_ops.registry.promotion import promote_version
from sss_ops.registry.rollback import roll_back


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
