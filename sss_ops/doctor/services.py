"""The servers that a run talks to: MLflow and Kubeflow Pipelines."""

from __future__ import annotations

import os

from sss_ops.doctor.checks import Line, not_configured
from sss_ops.errors import without_secrets
from sss_ops.storage.http import probe
from sss_ops.tracking.store import connect, is_server, open_store, take_out_credentials

_START = "start the server, forward its port (kubectl port-forward svc/sss-mlflow 5000), or correct MLFLOW_TRACKING_URI"


def mlflow() -> list[Line]:
    """Whether the tracking server answers, has a version that fits, and shows its experiments to us."""
    take_out_credentials()
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not address:
        return [not_configured("MLflow", "MLFLOW_TRACKING_URI; without it, mlflow.db in the working directory")]
    if not address.startswith(("http://", "https://")):
        return [_experiments(address, "")]
    from sss_model.errors import InputError

    try:
        health = probe(f"{address.rstrip('/')}/health")
        told = probe(f"{address.rstrip('/')}/version")
    except InputError as error:
        return [Line("MLflow", "red", str(error).partition(";")[0], _START)]
    if health.status != 200:
        return [Line("MLflow", "red", f"{address}: /health answers {health.status}", _START)]
    return [_experiments(address, told.body.strip() if told.status == 200 else "")]


def _experiments(address: str, server: str) -> Line:
    import mlflow as client
    from mlflow.exceptions import MlflowException

    from sss_model.errors import InputError

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    try:
        store = open_store() if is_server() else connect()
        store.search_experiments(max_results=1)
    except MlflowException as error:
        return _refusal(address, without_secrets(str(error)))
    except InputError as error:
        return Line(
            "MLflow", "red", str(error).rpartition(";")[0], "start the database, or correct MLFLOW_TRACKING_URI"
        )
    address = without_secrets(address)
    found = f"{address}: {f'version {server}, ' if server else ''}experiments can be listed"
    if server and server.split(".")[0] != client.__version__.split(".")[0]:
        fix = f"run a server of MLflow {client.__version__.split('.')[0]}, as this client's {client.__version__}"
        return Line("MLflow", "red", found, fix)
    return Line("MLflow", "green", found)


def _refusal(address: str, reason: str) -> Line:
    if "Invalid Host header" in reason:
        host = address.split("://")[1].split("/")[0]
        return Line(
            "MLflow", "red", f"{address}: 403, Host header refused", f"start the server with {host} in --allowed-hosts"
        )
    if "401" in reason or "403" in reason:
        fix = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Line("MLflow", "red", f"{address}: it does not accept us", fix)
    return Line("MLflow", "red", f"{address}: {' '.join(reason.split())[:200]}", "look at the server's log")


def pipelines(host: str | None) -> list[Line]:
    """Whether Kubeflow Pipelines answers and has a version that fits."""
    if not (host or os.environ.get("KFP_HOST")):
        return [not_configured("Kubeflow Pipelines", "KFP_HOST")]
    from sss_ops.cluster.kfp_server import host_address, server_version, version_warning

    address = host_address(host)
    version = server_version(address)
    warning = version_warning(address, version)
    if warning:
        fix = "upgrade Kubeflow Pipelines to this client's version or newer, or see that its version is what you think"
        return [Line("Kubeflow Pipelines", "yellow", warning.partition(";")[0], fix)]
    return [Line("Kubeflow Pipelines", "green", f"{address}: version {version}")]
