import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from sss_model.errors import InputError
from sss_ops.tracking.runs import LiveRun
from sss_ops.tracking.store import tracking_client


def only_run(store: mlflow.MlflowClient) -> mlflow.entities.Run:
    (run,) = store.search_runs([experiment.experiment_id for experiment in store.search_experiments()])
    return run


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert happened()


def losses(store: mlflow.MlflowClient) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.get_metric_history(only_run(store).info.run_id, "loss")]


def test_curves_can_be_watched_while_the_training_goes_on(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    with LiveRun("heart", name="weak_to_strong", record=tmp_path / "tracking.json") as live:
        live.log(10, {"loss": 0.5})
        wait_until(lambda: bool(live.run_id))
        assert only_run(store).info.status == "RUNNING"
        live.log(20, {"loss": 0.25})
    assert losses(store) == [(10, 0.5), (20, 0.25)]
    assert only_run(store).info.status == "FINISHED"


def test_a_resumed_training_goes_on_in_its_run(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    record = tmp_path / "work/tracking.json"
    with pytest.raises(SystemExit), LiveRun("heart", name="first", record=record) as live:
        live.log(1, {"loss": 0.5})
        raise SystemExit(143)
    assert only_run(store).info.status == "KILLED"
    with LiveRun("heart", name="second", record=record) as live:
        live.log(2, {"loss": 0.25})
    assert losses(store) == [(1, 0.5), (2, 0.25)]
    assert only_run(store).info.status == "FINISHED"


def test_a_run_that_was_deleted_is_not_gone_on_in(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    record = tmp_path / "work/tracking.json"
    with LiveRun("heart", name="first", record=record) as live:
        live.log(1, {"loss": 0.5})
    store.delete_run(only_run(store).info.run_id)
    with LiveRun("heart", name="second", record=record) as live:
        live.log(2, {"loss": 0.25})
    assert losses(store) == [(2, 0.25)]


@pytest.mark.parametrize("address", ["postgres://u:secret@db/mlflow", "file:///tmp/mlruns", "nonsense://db"])
def test_an_address_of_no_known_store_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InputError, match=r"expected http\(s\)://HOST, sqlite:///FILE or postgresql\+psycopg2") as error:
        tracking_client()
    assert "secret" not in str(error.value)


def test_what_a_resumed_training_logs_again_is_in_the_store_once(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    record = tmp_path / "work/tracking.json"
    with LiveRun("heart", name="first", record=record) as live:
        live.log(1, {"loss": 0.5})
    with LiveRun("heart", name="second", record=record) as live:
        for step, loss in [(1, 0.5), (2, 0.375), (3, 0.25)]:  # the kill came before step 2 was sent
            live.log(step, {"loss": loss})
    assert losses(store) == [(1, 0.5), (2, 0.375), (3, 0.25)]


def test_a_record_of_a_run_that_the_store_lacks_is_replaced(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    record = tmp_path / "tracking.json"
    record.write_text(json.dumps({"experiment": "heart", "run_id": "f" * 32}))
    with LiveRun("heart", name="new", record=record) as live:
        live.log(1, {"loss": 0.5})
    assert json.loads(record.read_text())["run_id"] == only_run(store).info.run_id


def test_a_store_that_was_away_is_sent_everything_when_it_is_back(
    store: mlflow.MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with LiveRun("heart", name="patient", record=tmp_path / "tracking.json") as live:
        live.log(1, {"loss": 0.5})
        wait_until(lambda: bool(caplog.records))
        live.log(2, {"loss": 0.25})
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert losses(store) == [(1, 0.5), (2, 0.25)]
    assert "the training goes on" in caplog.text
