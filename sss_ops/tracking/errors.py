"""What a tracking server refuses, and why it is silent, as one sentence that holds no secret."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sss_model.errors import InputError

_STATUS = {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403}
_REFUSALS = (401, 403)
_CREDENTIALS = (
    "expected a user that it knows in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
)
_RIGHTS = "expected a user with the permission EDIT or MANAGE; whoever administers MLflow gives it"
_KEYS = "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who may read and write them"
_HOST = "expected an address whose host is among its --allowed-hosts"
_BROKEN = "expected a server that works, its log says more; run the command again when it does"
_SILENT = "expected the tracking server that MLFLOW_TRACKING_URI names; run the command again when it answers"


class RefusedError(InputError):
    """A server does not let this user in or do this, which no waiting will change."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what a store refuses, and its silence, into an `InputError`; a refusal into a `RefusedError`."""
    try:
        yield
    except Exception as error:
        sentence = sentence_about(error)
        if sentence is None:
            raise
        raise (RefusedError if is_refusal(error) else InputError)(sentence) from None


def sentence_about(error: BaseException) -> str | None:
    """What to tell a person about an error of a tracking server or of a database; None for any other error.

    Imports nothing: an error of a library that nobody loaded can't be the one.
    """
    if is_refusal(error):
        return _refusal(error)
    if _is(error, "botocore.exceptions", "ClientError") or _is(error, "boto3.exceptions", "S3UploadFailedError"):
        return f"MLflow's artifacts: {error}; {_KEYS}"
    status, why = _status(error), _silence(error)
    if status is not None and status >= 500:
        return f"{address()}: MLflow answers {status}; {_BROKEN}"
    return f"{address()}: {why}; {_SILENT}" if why else None


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that a server does not let this user in or do this."""
    return _status(error) in _REFUSALS


def address() -> str:
    """MLFLOW_TRACKING_URI as it may be shown."""
    return without_secrets(os.environ.get("MLFLOW_TRACKING_URI", "MLflow"))


def without_secrets(text: str) -> str:
    """A text whose addresses have lost the user and the password before their hosts."""
    return re.sub(r"(\w://)[^/\s@]*@", r"\1", text)


def _refusal(error: BaseException) -> str:
    text = str(error)
    if "Invalid Host header" in text:
        return f"{address()}: MLflow refuses this host name; {_HOST}"
    if _status(error) == 401:
        return f"{address()}: MLflow does not accept {_user('with this password')}; {_CREDENTIALS}"
    asked = re.search(r"/mlflow/[a-z/-]+|/mlflow-artifacts/", text)
    return f"{address()}: MLflow does not let {_user('')} do that{f' ({asked[0]})' if asked else ''}; {_RIGHTS}"


def _user(how: str) -> str:
    """Who asked."""
    from mlflow.utils.credentials import read_mlflow_creds

    name = read_mlflow_creds().username
    if name:
        return f"the user {name} {how}".strip()
    return "this token" if os.environ.get("MLFLOW_TRACKING_TOKEN") else "a request without a user"


def _status(error: BaseException) -> int | None:
    """The HTTP status of the answer that an error is about; None where there was none, or MLflow said why itself."""
    failed = _request_error(error)
    if failed is not None:
        if getattr(failed, "response", None) is not None:
            return int(failed.response.status_code)
        repeated = re.search(r"too many (\d{3}) error responses", str(failed))
        return int(repeated[1]) if repeated else None
    return _STATUS.get(getattr(error, "error_code", "")) if _is(error, "mlflow.exceptions", "MlflowException") else None


def _silence(error: BaseException) -> str | None:
    """In plain words, why nothing answered."""
    from sss_ops.storage.http import why_silent

    failed = _request_error(error)
    if failed is not None:
        return why_silent(next(iter(failed.args), failed))
    if (
        _is(error, "sqlalchemy.exc", "OperationalError")
        or getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE"
    ):
        said = without_secrets(str(error)).partition("(Background on")[0]
        return f"the database does not do that ({' '.join(said.split())[:300]})"
    return None


def _request_error(error: BaseException) -> Any:
    """The failed request to the tracking server that an error is, or that MLflow raised it over."""
    links: list[Any] = [error]
    if _is(error, "mlflow.exceptions", "MlflowException"):
        links += [link for link in (error.__cause__, error.__context__) if link is not None]
    for link in links:
        if _is(link, "requests.exceptions", "RequestException"):
            url = getattr(getattr(link, "request", None), "url", None) or ""
            if link is not error or url.startswith(address().rstrip("/")):
                return link
    return None


def _is(error: BaseException, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
