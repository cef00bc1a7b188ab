"""A registered model behind a real ``mlflow models serve``, for tests, on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Server(NamedTuple):
    """A running server."""

    port: int
    log: Path

    def ask(self, *rows: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send rows; returns the HTTP status and the answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/invocations",
            json.dumps({"dataframe_records": rows}).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def scoring_server(model: str, *, folder: Path, config: dict[str, Any] | None = None) -> Iterator[Server]:
    """Serve a model of the registry that MLFLOW_TRACKING_URI names, with other values of its configuration."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", model]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = {"MLFLOW_PYFUNC_INFERENCE_CONFIG": json.dumps(config or {}), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
        server = Server(port, folder / "serve.log")
        try:
            _wait(server, process)
            yield server
        finally:
            # Its workers are processes of their own.
            os.killpg(process.pid, 15)
            process.wait(timeout=30)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/ping", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the model is not served: {server.log.read_text()[-2000:]}")
