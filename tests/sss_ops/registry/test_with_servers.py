"""The registry as teams run it: behind a real MLflow server, and on Postgres with several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from support.registry import (
    MODEL,
    fill,
    go_all_the_way,
    locks,
    run_races,
    run_takeovers,
)
from support.tracking_server import postgres, tracking_server

from sss_model.errors import InputError
from sss_ops.registry.commands import list_versions
from sss_ops.tracking.store import tracking_client


def test_promotion_rollback_recovery_and_a_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
) -> None:
    with tracking_server(tmp_path, artifacts=str(tmp_path / "artifacts")) as port:
        uri = f"http://localhost:{port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        client = mlflow.MlflowClient(uri)
        fill(client)
        go_all_the_way(client, pass_time)

        run_races(client, uri, rounds=3)
        assert len(list_versions(client, MODEL).rows) == 4
        assert not [lock for lock in locks(client) if "expired" not in lock]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as address:
        mlflow.MlflowClient(address).search_experiments()  # makes the tables
        yield address


@pytest.fixture
def client(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    client = tracking_client()
    fill(client)
    yield client
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)


def test_promotion_rollback_and_recovery(client: mlflow.MlflowClient, pass_time: Callable[[float], None]) -> None:
    go_all_the_way(client, pass_time)
    assert len(list_versions(client, MODEL).rows) == 4
    assert not [lock for lock in locks(client) if "expired" not in lock]


def test_two_promotions_at_once_are_one_after_the_other(client: mlflow.MlflowClient, database: str) -> None:
    run_races(client, database, rounds=10)


@pytest.mark.acceptance
def test_of_two_that_find_a_lock_expired_one_comes_after_the_other(
    client: mlflow.MlflowClient, database: str, tmp_path: Path
) -> None:
    run_takeovers(client, database, tmp_path, rounds=20)


def test_a_password_that_the_database_does_not_know_is_one_sentence_without_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = database.replace("sss:", "sss:planted-")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wrong)
    with pytest.raises(InputError, match="password authentication failed") as caught:
        tracking_client()
    assert "planted" not in str(caught.value)
    assert "\n" not in str(caught.value)
