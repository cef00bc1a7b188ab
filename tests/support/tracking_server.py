"""A real MLflow server for tests, on loopback."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def tracking_server(
    folder: Path,
    *,
    artifacts: str,
    environment: Mapping[str, str] | None = None,
    store: str | None = None,
    arguments: Sequence[str] = (),
    port: int | None = None,
) -> Iterator[int]:
    """Run a server; it takes requests for ``localhost`` and refuses those for 127.0.0.1.

    Args:
        folder: its working directory, with its log and, unless `store` is the address of another, its database.
        artifacts: where it keeps the artifacts that it passes on.
        environment: what is added to its environment.
        arguments: further ones of its command line.
        port: a free one if not given.

    Yields:
        Its port.
    """
    port = port or free_port()
    command = [Path(sys.executable).with_name("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store or f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", artifacts]
    command += ["--workers", "1", "--allowed-hosts", f"localhost:{port}", *arguments]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    told = {**os.environ, **quiet, **(environment or {})}
    with (folder / "log").open("ab") as log:
        # A session of its own, so that the processes that it starts can be killed with it.
        server = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log, start_new_session=True)
        (folder / "server.pid").write_text(str(server.pid))
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server)
            yield port
        finally:
            server.terminate()
            server.wait(timeout=30)


def kill(folder: Path) -> None:
    """End the server that works in `folder` as a power failure would."""
    os.killpg(int((folder / "server.pid").read_text()), signal.SIGKILL)


def with_users(folder: Path, admin_password: str) -> dict[str, Any]:
    """What makes a server in `folder` ask who is there: further arguments of `tracking_server`."""
    settings = folder / "users.ini"
    # Without the cache every request pays for the hash of a password.
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\nauth_cache_ttl_seconds = 600\n"
        f"database_uri = sqlite:///{folder}/users.db\n"
    )
    told = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        "MLFLOW_AUTH_ADMIN_PASSWORD": admin_password,
    }
    return {"arguments": ["--app-name", "basic-auth"], "environment": told}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("no MLflow within three minutes")
