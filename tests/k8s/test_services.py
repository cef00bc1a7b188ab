"""The command lines in the manifests start real servers that answer, and that work with one another."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from support.kubelet import command_line, container_of, environment_of, free_ports, running

from k8s.check.objects import Target

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
DATABASE = {"POSTGRES_USER": "mlflow", "POSTGRES_PASSWORD": "p@ss:w/or%d", "POSTGRES_DB": "mlflow"}
INNER = ("master.port", "volume.port", "filer.port", "s3.port.grpc", "master.port.grpc", "volume.port.grpc")


@pytest.fixture(scope="module")
def store(local: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """SeaweedFS as the manifest starts it; the port of each of its parts."""
    container = container_of(local, "StatefulSet/sss-s3", "seaweedfs")
    folder = tmp_path_factory.mktemp("store")
    names = ("s3.port", *INNER, "filer.port.grpc")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = command_line(container, {}, {"-dir": str(folder), "-s3.port": str(ports["s3.port"])})
    command += [f"-{name}={port}" for name, port in ports.items() if name != "s3.port"]
    path = container["readinessProbe"]["httpGet"]["path"]
    health = f"http://127.0.0.1:{ports['s3.port']}{path}"
    with running(command, environment_of(local, container, KEYS), folder, lambda: status(health) == 200):
        yield ports


@pytest.fixture(scope="module")
def buckets(local: Target, store: dict[str, int]) -> dict[str, str]:
    """What the Job that makes the buckets said, run twice; with where they are."""
    container = container_of(local, "Job/sss-buckets", "buckets")
    environment = {**environment_of(local, container, KEYS), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store['s3.port']}"}
    said = [run(command_line(container, environment, {}), environment) for _ in range(2)]
    return {"first": said[0], "second": said[1], "address": environment["AWS_ENDPOINT_URL"]}


@pytest.fixture(scope="module")
def mlflow_server(local: Target, buckets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow as the manifest migrates and starts it, on SQLite and with one worker."""
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    migrate, server = (container_of(local, "Deployment/sss-mlflow", name) for name in ("migrate", "mlflow"))
    given = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db", "AWS_ENDPOINT_URL": buckets["address"]}
    environment = {**environment_of(local, migrate, DATABASE), **given}
    run(command_line(migrate, environment, {}), environment)
    environment = {**environment_of(local, server, KEYS | DATABASE), **given}
    command = command_line(server, environment, {"--port": str(port), "--workers": "1"})
    health = f"http://127.0.0.1:{port}{server['readinessProbe']['httpGet']['path']}"
    with running(command, environment, folder, lambda: status(health) == 200):
        yield f"http://127.0.0.1:{port}"


def status(url: str, host: str | None = None) -> int:
    """The answer's status to a GET; 0 when nobody answers."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def client(address: str, key: str) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key,
    )


def test_the_job_makes_the_three_buckets_and_leaves_them_alone_the_second_time(buckets: dict[str, str]) -> None:
    names = ("sss-data", "sss-mlflow", "sss-work")
    assert buckets["first"].splitlines() == [f"{name} made" for name in names]
    assert buckets["second"].splitlines() == [f"{name} was there" for name in names]


def test_the_store_refuses_a_wrong_key(buckets: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(buckets["address"], "guessed").list_buckets()


def test_only_the_gateway_that_asks_for_keys_listens_beyond_loopback(store: dict[str, int]) -> None:
    def answers(address: str, port: int) -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection((address, port), timeout=5):
            return True
        return False

    assert all(answers("127.0.0.1", port) for port in store.values())
    assert {name for name, port in store.items() if answers("127.0.0.2", port)} == {"s3.port", "s3.port.grpc"}


def test_mlflow_answers_under_the_services_names_and_to_nobody_elses(local: Target, mlflow_server: str) -> None:
    namespace = "kubeflow"
    for host in ("sss-mlflow", f"sss-mlflow.{namespace}", f"sss-mlflow.{namespace}.svc.cluster.local", "localhost"):
        assert status(f"{mlflow_server}/version", f"{host}:5000") == 200
        assert status(mlflow_server, f"{host}:5000") == 200
    assert status(mlflow_server, "sss-mlflow.example.com:5000") == 403


def test_an_artifact_goes_through_mlflow_into_its_bucket(
    buckets: dict[str, str], mlflow_server: str, tmp_path: Path
) -> None:
    url = f"{mlflow_server}/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/report.html"
    request = urllib.request.Request(url, data=b"a report", method="PUT", headers={"Host": "sss-mlflow:5000"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    stored = client(buckets["address"], KEYS["AWS_SECRET_ACCESS_KEY"])
    body = stored.get_object(Bucket="sss-mlflow", Key="1/run/artifacts/report.html")["Body"]
    assert body.read() == b"a report"


def test_the_databases_address_holds_no_password_and_its_driver_is_installed(local: Target) -> None:
    from sqlalchemy import create_engine

    container = container_of(local, "Deployment/sss-mlflow", "mlflow")
    address = environment_of(local, container, KEYS | DATABASE)["MLFLOW_BACKEND_STORE_URI"]
    assert create_engine(address).dialect.driver == "psycopg2"
    assert create_engine(address).url.password is None
