"""Real servers for tests, on loopback: MLflow, Postgres, and a registered model behind `mlflow models serve`."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest


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


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server with an empty database in a temporary folder; skips the test where none is installed.

    Yields:
        Its address as SQLAlchemy writes it, with the password in it.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        pytest.skip("no Postgres below /usr/lib/postgresql: apt-get install postgresql")
    password = secrets.token_hex(16)
    port = free_port()
    with _folder() as (folder, account):
        secret = folder / "password"
        secret.write_text(password)
        secret.chmod(0o644)
        make = [programs[-1] / "initdb", "-D", folder / "data", "-U", "sss", "--pwfile", secret]
        make += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **account)
        run = [programs[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-k", "", "-F"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*run, "-c", "listen_addresses=127.0.0.1"], stdout=log, stderr=log, cwd=folder, **account
            )
            try:
                _wait_for_postgres(f"postgresql://sss:{password}@127.0.0.1:{port}/postgres", server)
                yield f"postgresql+psycopg2://sss:{password}@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(signal.SIGINT)  # does not wait for the clients
                server.wait(timeout=60)


@contextmanager
def _folder() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder, and as whom to work in it: Postgres refuses root, who then lends it to the package's own account."""
    folder = Path(tempfile.mkdtemp(prefix="sss-postgres-"))
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        yield folder, account
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_postgres(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg2.connect(address).close()
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("no Postgres within two minutes")


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
