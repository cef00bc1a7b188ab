"""A real Postgres for tests, on loopback: the one that Debian's package installs."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from support.tracking_server import free_port


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
                _wait_for(f"postgresql://sss:{password}@127.0.0.1:{port}/postgres", server)
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


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg2.connect(address).close()
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("no Postgres within two minutes")
