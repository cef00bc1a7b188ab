"""The store behind MLflow that this project writes to: a server, a database, or a file in the working directory."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from sss_model.errors import InputError
from sss_ops.errors import TRACKING_SERVER, as_sentences, tracking_address
from sss_ops.tracking.timeouts import be_patient, short_calls

if TYPE_CHECKING:
    from mlflow import MlflowClient


DEFAULT_STORE = "sqlite:///mlflow.db"
ADDRESS = "MLFLOW_TRACKING_URI"
_UNKNOWN = (
    "no address of a store that can be opened here; expected http(s)://HOST, sqlite:///FILE or "
    "postgresql+psycopg2://USER@HOST/DATABASE"
)


def connect() -> MlflowClient:
    """The store that MLFLOW_TRACKING_URI names; without it, SQLite and ``mlruns`` in the working directory.

    It must answer within seconds. Later calls go on trying for a minute.

    Raises:
        InputError: it does not answer, or does not let this user in (then a `AccessRefusedError`).
    """
    be_patient()
    with short_calls(), as_sentences(TRACKING_SERVER, tracking_address()):
        _look_at_database()
        client = open_store()
        if is_server():
            client.search_experiments(max_results=1)
    return client


def open_store() -> MlflowClient:
    """The same store, without a look at whether it answers."""
    import mlflow

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    # It tells of every try; whoever asked is told how it ended.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    take_out_credentials()
    mlflow.set_tracking_uri(os.environ.get(ADDRESS, DEFAULT_STORE))
    return mlflow.MlflowClient()


def is_server() -> bool:
    """Whether the store is behind a tracking server."""
    return os.environ.get(ADDRESS, "").startswith(("http://", "https://"))


def take_out_credentials() -> None:
    """Move user and password from a server's address to the variables made for them: MLflow prints addresses."""
    parts = urlsplit(os.environ.get(ADDRESS, ""))
    if not is_server() or parts.username is None:
        return
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    os.environ[ADDRESS] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _look_at_database() -> None:
    """Connect once to a database that MLflow would try to reach for minutes."""
    address = os.environ.get(ADDRESS, "")
    if is_server() or "://" not in address or address.startswith("sqlite:"):
        return
    from mlflow.store.db.utils import create_sqlalchemy_engine

    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    try:
        engine = create_sqlalchemy_engine(address)
    except Exception as error:
        # Nothing is connected to yet: no such kind of database, or no driver for it.
        if isinstance(error, ImportError) or type(error).__module__ == "sqlalchemy.exc":
            raise InputError(f"{tracking_address()}: {_UNKNOWN}") from None
        raise
    engine.connect().close()
    engine.dispose()
