"""The services that a run talks to: object store, DVC remote, MLflow, Kubeflow Pipelines."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from sss_model.errors import InputError
from sss_ops.doctor.checks import CheckResult, not_configured
from sss_ops.errors import without_secrets
from sss_ops.storage.http import probe
from sss_ops.tracking.store import is_server, open_store, take_out_credentials, tracking_client

_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a pair that the store knows"
_RIGHTS = "give these credentials the right to read, write and delete in the bucket"
_REFUSALS = {
    "InvalidAccessKeyId": ("it does not know the access key", _KEYS),
    "SignatureDoesNotMatch": ("it does not accept the secret key", _KEYS),
    "AccessDenied": ("it refuses this account", _RIGHTS),
    "403": ("it refuses this account", _RIGHTS),
    "NoSuchBucket": ("no such bucket", "make the bucket, or name another with --bucket"),
    "404": ("no such bucket", "make the bucket, or name another with --bucket"),
}


def check_object_store(bucket: str | None) -> list[CheckResult]:
    """Whether the store answers, takes the credentials, and lets us write, read and delete an object."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=3, read_timeout=4, retries={"total_max_attempts": 1})
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    session = boto3.Session()
    if session.get_credentials() is None:
        how = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for a store that is not Amazon's"
        if endpoint or bucket:
            return [CheckResult("S3", "red", f"{endpoint or bucket}: no credentials", _KEYS)]
        return [not_configured("S3", how)]
    where = f"{endpoint or 'Amazon S3'}{f', bucket {bucket}' if bucket else ''}"
    store = session.client("s3", config=quick)
    try:
        found = _use(store, bucket) if bucket else f"{len(store.list_buckets()['Buckets'])} buckets"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        reason, fix = _REFUSALS.get(code, (code, "look up this code in the store's manual"))
        return [CheckResult("S3", "red", f"{where}: {reason}", fix)]
    except BotoCoreError as error:
        reason = " ".join(str(error).split())
        return [
            CheckResult(
                "S3", "red", f"{where}: {reason}", "set AWS_ENDPOINT_URL to a store that runs and can be reached"
            )
        ]
    return [CheckResult("S3", "green", f"{where}: {found}")]


def _use(store: Any, bucket: str) -> str:
    """Write, read and delete an object of our own."""
    # The answer to a HEAD has no body, so the reasons would be bare numbers.
    store.list_objects_v2(Bucket=bucket, MaxKeys=1)
    probe = {"Bucket": bucket, "Key": f".sss-doctor-{uuid.uuid4().hex}"}
    store.put_object(**probe, Body=b"probe")
    try:
        store.get_object(**probe)["Body"].read()
    finally:
        store.delete_object(**probe)
    return "written, read, deleted"


def check_dvc_remote(root: Path) -> list[CheckResult]:
    """Whether the checkout's remote answers and holds the version that ``data.dvc`` names."""
    if not (root / ".dvc").is_dir():
        return [not_configured("DVC remote", "no DVC repository here")]
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from sss_ops.data_versions.versions import tracked_version

    with Repo(str(root)) as repository:
        if not repository.config["core"].get("remote"):
            return [not_configured("DVC remote", "`dvc remote add --default NAME URL`")]
        version = tracked_version(root / "data.dvc")
        try:
            remote = repository.cloud.get_remote_odb()
            there = remote.exists(version)
            where = remote.fs.unstrip_protocol(remote.path).split("/files/md5")[0]
        except (DvcException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            return [
                CheckResult("DVC remote", "red", f"it can't be read: {reason}", "correct it with `dvc remote modify`")
            ]
    if not there:
        fix = "run `dvc push`, so that others and the cluster get it"
        return [CheckResult("DVC remote", "yellow", f"{where}: has not the version {version}", fix)]
    return [CheckResult("DVC remote", "green", f"{where}: has the version {version}")]


_START = "start the server, forward its port (kubectl port-forward svc/sss-mlflow 5000), or correct MLFLOW_TRACKING_URI"


def check_mlflow() -> list[CheckResult]:
    """Whether the tracking server answers, has a version that fits, and shows its experiments to us."""
    take_out_credentials()
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not address:
        return [not_configured("MLflow", "MLFLOW_TRACKING_URI; without it, mlflow.db in the working directory")]
    if not address.startswith(("http://", "https://")):
        return [_experiments(address, "")]
    try:
        health = probe(f"{address.rstrip('/')}/health")
        told = probe(f"{address.rstrip('/')}/version")
    except InputError as error:
        return [CheckResult("MLflow", "red", str(error).partition(";")[0], _START)]
    if health.status != 200:
        return [CheckResult("MLflow", "red", f"{address}: /health answers {health.status}", _START)]
    return [_experiments(address, told.body.strip() if told.status == 200 else "")]


def _experiments(address: str, server: str) -> CheckResult:
    import mlflow as client
    from mlflow.exceptions import MlflowException

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    try:
        store = open_store() if is_server() else tracking_client()
        store.search_experiments(max_results=1)
    except MlflowException as error:
        return _refusal(address, without_secrets(str(error)))
    except InputError as error:
        return CheckResult(
            "MLflow", "red", str(error).rpartition(";")[0], "start the database, or correct MLFLOW_TRACKING_URI"
        )
    address = without_secrets(address)
    found = f"{address}: {f'version {server}, ' if server else ''}experiments can be listed"
    if server and server.split(".")[0] != client.__version__.split(".")[0]:
        fix = f"run a server of MLflow {client.__version__.split('.')[0]}, as this client's {client.__version__}"
        return CheckResult("MLflow", "red", found, fix)
    return CheckResult("MLflow", "green", found)


def _refusal(address: str, reason: str) -> CheckResult:
    if "Invalid Host header" in reason:
        host = address.split("://")[1].split("/")[0]
        return CheckResult(
            "MLflow", "red", f"{address}: 403, Host header refused", f"start the server with {host} in --allowed-hosts"
        )
    if "401" in reason or "403" in reason:
        fix = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return CheckResult("MLflow", "red", f"{address}: it does not accept us", fix)
    return CheckResult("MLflow", "red", f"{address}: {' '.join(reason.split())[:200]}", "look at the server's log")


def check_pipelines(host: str | None) -> list[CheckResult]:
    """Whether Kubeflow Pipelines answers and has a version that fits."""
    if not (host or os.environ.get("KFP_HOST")):
        return [not_configured("Kubeflow Pipelines", "KFP_HOST")]
    from sss_ops.cluster.kfp_server import host_address, server_version, version_warning

    address = host_address(host)
    version = server_version(address)
    warning = version_warning(address, version)
    if warning:
        fix = "upgrade Kubeflow Pipelines to this client's version or newer, or see that its version is what you think"
        return [CheckResult("Kubeflow Pipelines", "yellow", warning.partition(";")[0], fix)]
    return [CheckResult("Kubeflow Pipelines", "green", f"{address}: version {version}")]
