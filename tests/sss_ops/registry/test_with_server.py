"""The same against a real MLflow server, as a team runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from support.registry import MODEL, fill, go_all_the_way, locks, run_races
from support.tracking_server import tracking_server

from sss_ops.registry.commands import list_versions


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
