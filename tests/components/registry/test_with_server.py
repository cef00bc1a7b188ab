"""The same against a real MLflow server, as a team runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from registry_for_tests import MODEL, Dying, Killed, fill, locks, refuse_inconsistent, run_races, trial
from tracking_server import tracking_server

from components.registry.listing import list_versions
from components.registry.lock import LEASE_SECONDS
from components.registry.promote import promote
from components.registry.rollback import rollback
from components.registry.state import read_state


def test_promotion_rollback_recovery_and_a_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
) -> None:
    with tracking_server(tmp_path, artifacts=str(tmp_path / "artifacts")) as port:
        uri = f"http://localhost:{port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        client = mlflow.MlflowClient(uri)
        fill(client)
        promote(client, trial("2", "1"))
        rollback(client, MODEL)
        assert read_state(client, MODEL).aliases == {"champion": "1", "previous": "2"}

        after = 1
        while not read_state(client, MODEL).pending:
            with pytest.raises(Killed):
                promote(Dying(client, after=after), trial("3", "1"))  # type: ignore[arg-type]
            pass_time(LEASE_SECONDS + 1)
            after += 1
        rollback(client, MODEL)
        assert read_state(client, MODEL).aliases == {"champion": "1", "previous": "3"}
        refuse_inconsistent(client)

        run_races(client, uri, rounds=3)
        assert len(list_versions(client, MODEL).rows) == 4
        assert not [lock for lock in locks(client) if "expired" not in lock]
