"""A real object store for tests: SeaweedFS on loopback."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_SERVICES = ("master", "volume", "filer", "s3", "admin")


@contextmanager
def object_store(folder: Path, buckets: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Run an S3 server with its data in `folder`.

    Yields:
        Its address, and the environment that a client needs: credentials, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION.
    """
    ports = _free_ports(2 * len(_SERVICES))
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
    endpoint = f"http://127.0.0.1:{ports[2 * _SERVICES.index('s3')]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(_command(folder, buckets, ports), env=os.environ | keys, stdout=log, stderr=log)
        try:
            _wait(server, _client(endpoint, keys), buckets, folder / "log")
            yield endpoint, {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        finally:
            server.terminate()
            server.wait(timeout=30)


def _command(folder: Path, buckets: Sequence[str], ports: list[int]) -> list[str]:
    listen = [
        f"-{service}.port{kind}={port}"
        for (service, kind), port in zip(((s, k) for s in _SERVICES for k in ("", ".grpc")), ports, strict=True)
    ]
    extras = ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    weed = str(Path(sys.executable).with_name("weed"))
    here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    return [weed, "mini", f"-dir={folder}", f"-bucket={','.join(buckets)}", *here, *listen, *extras]


def _client(endpoint: str, keys: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
        **{name.lower(): value for name, value in keys.items()},
    )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait(server: subprocess.Popen[bytes], client: Any, buckets: Sequence[str], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and server.poll() is None:
        # It answers before it has made its buckets.
        with suppress(BotoCoreError, ClientError):
            if {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} >= set(buckets):
                return
        time.sleep(0.1)
    raise AssertionError(f"no object store within three minutes:\n{log.read_text()[-3000:]}")
