"""A tracking server that goes away: what a training loses, which is nothing, and what a command says."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from support.registered_models import command_line, evaluate_in
from support.tracking_server import free_port, kill, tracking_server

from sss_model.checkpoint import load_checkpoint
from sss_model.errors import InputError
from sss_ops.tracking.runs import LiveRun
from sss_ops.tracking.store import tracking_client


def test_a_server_that_is_killed_during_a_training_gets_everything_from_register(
    registrable: Path,
    cache_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Path(shutil.copytree(registrable, tmp_path / "here", symlinks=True))
    (server := tmp_path / "server").mkdir()
    monkeypatch.chdir(here)
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{port}")
    sss = command_line(monkeypatch, capfd)

    with tracking_server(server, artifacts=str(server / "artifacts"), port=port):
        _kill_after_the_first_curves(server, monkeypatch)
        began = time.monotonic()
        inputs = ("--data-dir", "data/phantom", "--output", "trained", "--cache", str(cache_dir))
        assert sss("train", *inputs)[0] == 0
    trained = load_checkpoint(Path("trained"))
    assert trained.meta.steps == 4
    warned = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert warned[-1].startswith("MLflow lacks the end of this training; the checkpoint has all, `sss register` sends")

    evaluate_in(here, "trained")
    capfd.readouterr()
    code, said, complaint = sss("register", "--checkpoint", "trained")
    assert (code, said) == (2, "")
    assert complaint == (
        f"error: http://localhost:{port}: nothing listens; expected the tracking server that MLFLOW_TRACKING_URI "
        "names; run the command again when it answers\n"
    )
    assert not Path("registration.json").exists()
    assert time.monotonic() - began < 120

    with tracking_server(server, artifacts=str(server / "artifacts"), port=port):
        client = mlflow.MlflowClient()
        followed = json.loads(Path("trained/tracking.json").read_text())["run_id"]
        assert client.get_run(followed).info.status == "RUNNING"
        code, _, complaint = sss("register", "--checkpoint", "trained")
        assert code == 0, complaint
        record = json.loads(Path("registration.json").read_text())
        assert record["run_id"] == followed
        assert client.get_run(followed).info.status == "FINISHED"
        for name in ("loss", "val_dice"):
            kept = trained.history[["step", name]].dropna().itertuples(index=False)
            logged = [(point.step, point.value) for point in client.get_metric_history(followed, name)]
            assert sorted(logged) == [tuple(row) for row in kept]


def _kill_after_the_first_curves(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LiveRun.log

    def log_and_kill(self: LiveRun, step: int, scalars: dict[str, float]) -> None:
        log(self, step, scalars)
        if self._sending is not None and not self._warned:
            self._sending.result()
            kill(server)
            monkeypatch.setattr(LiveRun, "log", log)

    monkeypatch.setattr(LiveRun, "log", log_and_kill)


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """A server that gives everybody the same answer, and would have them come back in an hour."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def complaint_of_connecting(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        tracking_client()
    assert time.monotonic() - began < 30
    return str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_does_not_work_is_told_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(status) as address:
        said = complaint_of_connecting(address, monkeypatch)
    assert said.startswith(f"{address}: MLflow answers {status}; expected a server that works")


def test_a_host_name_that_the_server_was_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(403, b"Invalid Host header - possible DNS rebinding attack detected") as address:
        said = complaint_of_connecting(address, monkeypatch)
    assert "expected an address whose host is among its --allowed-hosts" in said


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert f"{address}: no answer in time; expected" in complaint_of_connecting(address, monkeypatch)


def test_user_and_password_in_the_address_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    with answering(401) as address:
        said = complaint_of_connecting(address.replace("://", "://ann:planted%40secret@"), monkeypatch)
    assert said.startswith(f"{address}: MLflow does not accept the user ann with this password; expected")
    assert "planted" not in said
