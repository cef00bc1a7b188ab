"""Tracking of runs, and a server that asks who is there."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.server import get_app_client
from support.registered_models import Sss, command_line
from support.registry import MODEL, fill, locks
from support.tracking_server import tracking_server, with_users

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.registry.lock import LOCK_PREFIX
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


ADMIN = "planted-admin-password"
PASSWORDS = {"ann": "planted-password-of-ann", "bob": "planted-password-of-bob"}
COMMANDS = (
    ("train", "--data-dir", "data/phantom", "--output", "trained"),
    ("register",),
    ("promote", "sss-phantom", "--version", "1"),
    ("rollback", "sss-phantom"),
    ("registry",),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with tracking_server(folder, artifacts=str(folder / "artifacts"), **with_users(folder, ADMIN)) as port:
        yield f"http://localhost:{port}"


@pytest.fixture(scope="module")
def users(address: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN)
        administration = get_app_client("basic-auth", tracking_uri=address)
        for name, password in PASSWORDS.items():
            administration.create_user(name, password)


@pytest.fixture
def sss(
    address: str,
    users: None,
    registrable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Sss:
    shutil.copytree(registrable, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return command_line(monkeypatch, capfd)


def be(name: str, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def refuse_planted(folder: Path, *texts: str) -> None:
    assert not [text for text in texts if "planted" in text]
    own = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "data")]
    assert not [path for path in own if b"planted" in path.read_bytes()]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_who_is_not_known_is_told_so_in_one_sentence(
    sss: Sss, address: str, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be("ann", "planted-wrong", monkeypatch)
    before = {path: sha256(path) for path in tmp_path.glob("*.*") if path.is_file()}
    code, said, complaint = sss(*arguments)
    assert code == 2
    assert complaint.startswith(
        f"error: {address}: MLflow does not accept the user ann with this password; expected a "
    )
    assert complaint.count("\n") == 1
    refuse_planted(tmp_path, said, complaint)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    code, _, complaint = sss(*arguments)
    assert (code, "MLflow does not accept a request without a user; expected" in complaint) == (2, True)
    assert not Path("trained").exists()
    assert {path: sha256(path) for path in before} == before
    assert not Path("registration.json").exists()


def test_a_known_user_trains_registers_and_promotes_and_a_reader_only_reads(
    sss: Sss, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("://", f"://ann:{PASSWORDS['ann']}@"))
    heard = []
    for arguments in (*COMMANDS[:2], ("register",), *COMMANDS[2:3], ("promote", "sss-phantom", "--version", "2")):
        code, said, complaint = sss(*arguments)
        assert code == 0, complaint
        heard += [said, complaint]
    for arguments in COMMANDS[3:]:
        code, said, complaint = sss(*arguments)
        assert code == 0, complaint
        heard += [said, complaint]
    assert "rolled back to 1" in heard[-2]
    assert "ann" in heard[-2]
    assert not [
        entry for entry in caplog.records if entry.levelno >= logging.WARNING and "MLflow" in entry.getMessage()
    ]
    refuse_planted(tmp_path, *heard, caplog.text)

    be("bob", PASSWORDS["bob"], monkeypatch)
    code, said, _ = sss("registry")
    assert (code, "rolled back to 1" in said) == (0, True)
    for arguments in (*COMMANDS[:2], ("promote", "sss-phantom", "--version", "2"), COMMANDS[3]):
        code, said, complaint = sss(*arguments)
        assert code == 2
        assert complaint.startswith(f"error: {address}: MLflow does not let the user bob do that (/mlflow")
        assert complaint.endswith(
            "expected a user with the permission EDIT or MANAGE; whoever administers MLflow gives it\n"
        )
        refuse_planted(tmp_path, said, complaint)
    be("ann", PASSWORDS["ann"], monkeypatch)
    client = mlflow.MlflowClient(address)
    assert client.get_registered_model("sss-phantom").aliases == {"champion": "1", "previous": "2"}
    assert locks(client) == []


def test_a_dead_user_s_lock_that_another_may_not_take_away_is_named(
    sss: Sss, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    be("ann", PASSWORDS["ann"], monkeypatch)
    client = mlflow.MlflowClient(address)
    fill(client)
    client.create_registered_model(LOCK_PREFIX + MODEL, {"token": "t", "expires": str(time.time() - 1), "who": "ann"})
    be("bob", PASSWORDS["bob"], monkeypatch)
    code, _, complaint = sss("rollback", MODEL)
    assert code == 2
    assert (
        f"error: {MODEL}: the lock {LOCK_PREFIX}{MODEL} of ann ran out, but this user may not take it away" in complaint
    )
