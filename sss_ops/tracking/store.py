"""The store behind MLflow (a server, a database, or a file in the working directory), and how long to wait for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from sss_model.errors import InputError
from sss_ops.errors import TRACKING_SERVER, as_sentences, tracking_address

if TYPE_CHECKING:
    from mlflow import MlflowClient


DEFAULT_STORE = "sqlite:///mlflow.db"
ADDRESS = "MLFLOW_TRACKING_URI"
_UNKNOWN = (
    "no address of a store that can be opened here; expected http(s)://HOST, sqlite:///FILE or "
    "postgresql+psycopg2://USER@HOST/DATABASE"
)

# MLflow itself would try for a quarter of an hour. A person's own MLFLOW_HTTP_REQUEST_… in the environment go first.
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# A server, or what stands before it, may ask for an hour.
_OBEY = "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"

# Between tries MLflow sleeps 0, 4, 8, 16 and 32 seconds, which outlasts the restart of a server. An upload's answer
# comes when the server has passed everything on to its own store.
_PATIENT = {_RETRIES: "5", _TIMEOUT: "60", _OBEY: "false"}
_SHORT = {_RETRIES: "1", _TIMEOUT: "10", _OBEY: "false"}


def tracking_client() -> MlflowClient:
    """The store that MLFLOW_TRACKING_URI names; without it, SQLite and ``mlruns`` in the working directory.

    It must answer within seconds. Later calls go on trying for a minute.

    Raises:
        InputError: it does not answer, or does not let this user in (then an `AccessRefusedError`).
    """
    _be_patient()
    with short_calls(), as_sentences(TRACKING_SERVER, tracking_address()):
        _check_database()
        client = open_store()
        if is_server():
            client.search_experiments(max_results=1)
    return client


def open_store() -> MlflowClient:
    """The same store, without asking whether it answers."""
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


def _check_database() -> None:
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


def _be_patient() -> None:
    """Let this process's calls to MLflow go on for a minute, unless the environment says otherwise."""
    for name, value in _PATIENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def short_calls() -> Iterator[None]:
    """Let calls to MLflow give up after some twenty seconds, within a ``with`` block."""
    before = {name: os.environ.get(name) for name in _SHORT}
    for name, value in _SHORT.items():
        if before[name] in (None, _PATIENT[name]):
            os.environ[name] = value
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = earlier
