"""Sentences for the errors of other libraries: found, where, expected.

Each service has one table, read from top to bottom: the first row that names the error's code makes the sentence. An
error is known by the name of its class, so that no library is imported to look at it.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from sss_model.errors import InputError


class AccessRefusedError(InputError):
    """A server does not let this user in or do this; waiting will not change it."""


@dataclass(frozen=True)
class Facts:
    """What a table needs of an error.

    Attributes:
        code: an HTTP status, a store's code, the name of a class, or "silent" where nothing answered.
        words: for the templates of the rows, such as the library's own ``text``.
    """

    code: str
    words: dict[str, str] = field(default_factory=dict)


class Row(NamedTuple):
    """A sentence: ``codes`` are alternatives between ``|``, with ``*`` and ``?`` as in file names."""

    codes: str
    found: str
    expected: str = ""


@dataclass(frozen=True)
class Service:
    """How the errors of a service's client are read, and the sentences about them.

    Attributes:
        read: facts about an error; None for an error of anything else.
    """

    read: Callable[[Any], Facts | None]
    table: tuple[Row, ...]


def sentence_about(error: BaseException) -> str | None:
    """The sentence for an error that ends a command; None for a bug, which keeps its traceback.

    >>> sentence_about(InputError("scan.nii: 4 axes; expected 3"))
    'scan.nii: 4 axes; expected 3'
    >>> sentence_about(OSError(28, "No space left on device", "checkpoint/weights.pt"))
    'the disk is full, checkpoint/weights.pt could not be written; free some space and run again'
    >>> sentence_about(KeyError("a bug"))
    """
    if isinstance(error, InputError):
        return str(error)
    if full := next(filter(_is_full_disk, _chain(error)), None):
        where = f", {full.filename} could not be written" if full.filename else ""
        return f"the disk is full{where}; free some space and run again"
    return explain(error, TRACKING_SERVER, tracking_address()) or explain(error, ARTIFACTS, "MLflow's artifacts")


def explain(error: BaseException, service: Service, subject: str = "", **words: str) -> str | None:
    """The sentence of a service's table about an error; None for an error of anything else.

    Args:
        subject: what the error is about, such as an address; the sentence begins with it.
        words: further words for the templates, such as `otherwise`: what was expected, where no row knows better.
    """
    facts = service.read(error)
    if facts is None:
        return None
    words = {**words, **facts.words, "code": facts.code}
    for row in service.table:
        if any(fnmatch(facts.code, code) for code in row.codes.split("|")):
            parts = (f"{subject}: " if subject else "", row.found, "; " if row.expected else "", row.expected)
            return "".join(parts[:1]) + "".join(part.format_map(words) for part in parts[1:])
    return None


@contextmanager
def as_sentences(service: Service, subject: str, **words: str) -> Iterator[None]:
    """Turn the errors of a service's client, within a ``with`` block, into an `InputError`; arguments as in `explain`.

    Raises:
        AccessRefusedError: the tracking server does not let this user in or do this.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        sentence = explain(error, service, subject, **words)
        if sentence is None:
            raise
        raise (AccessRefusedError if is_refusal(error) else InputError)(sentence) from None


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that the tracking server does not let this user in or do this."""
    return _tracking_status(error) in (401, 403)


def tracking_address() -> str:
    """MLFLOW_TRACKING_URI as it may be shown."""
    return without_secrets(os.environ.get("MLFLOW_TRACKING_URI", "MLflow"))


def without_secrets(text: str) -> str:
    """A text without users and passwords in addresses, and without the secrets that the environment holds.

    >>> without_secrets("postgresql://ann:planted@db/mlflow is away")
    'postgresql://db/mlflow is away'
    """
    text = re.sub(r"(\w://)[^/\s@]*@", r"\1", text)
    for secret in _secrets():
        text = text.replace(secret, "***")
    return text


_SECRETS = ("KFP_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY")
_SHORTEST_SECRET = 6  # a shorter one would be found in ordinary words


def _secrets() -> Iterator[str]:
    found = [os.environ.get(name, "") for name in _SECRETS]
    if file := os.environ.get("KFP_TOKEN_FILE"):
        with suppress(OSError, UnicodeDecodeError):
            found.append(Path(file).read_text(encoding="utf-8"))
    yield from (secret.strip() for secret in found if len(secret.strip()) >= _SHORTEST_SECRET)


# ---- Any service: why nothing answered

_CONNECTION_PROBLEMS = {
    "NameResolutionError": "no host of that name",
    "SSLError": "its certificate is not trusted",
    "NewConnectionError": "nothing listens",
    "TimeoutError": "no answer in time",
    "LocationValueError": "no address of a server",
}


def connection_problem(error: BaseException) -> str:
    """In plain words, why urllib3, which all clients use, got no answer."""
    reason = getattr(error, "reason", None) or error
    problems = (words for name, words in _CONNECTION_PROBLEMS.items() if _is(reason, f"urllib3.exceptions.{name}"))
    return next(problems, "the connection broke")


def _read_silence(error: Any) -> Facts | None:
    return Facts("silent", {"text": connection_problem(error)}) if _is(error, "urllib3.exceptions.HTTPError") else None


_SILENT_SERVER = Row("silent", "{text}", "expected a server that answers there")
WEB_SERVER = Service(_read_silence, (_SILENT_SERVER,))


# ---- Object stores (botocore)


def _read_object_store(error: Any) -> Facts | None:
    if _is(error, "botocore.exceptions.ClientError"):
        return Facts(error.response["Error"]["Code"])
    # A ValueError where AWS_ENDPOINT_URL is no address.
    if _is(error, "botocore.exceptions.BotoCoreError") or isinstance(error, ValueError):
        return Facts("silent", {"text": without_secrets(str(error)).rstrip(".")})
    return None


_KEYS = "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_ANSWERS = "the object store answers {code}"
OBJECT_STORE = Service(
    _read_object_store,
    (
        Row("NoSuchBucket", _ANSWERS, "expected a bucket that exists"),
        Row("404", _ANSWERS, "expected a bucket and an object that exist"),  # the answer to a HEAD is a bare number
        Row("403|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch", _ANSWERS, f"{_KEYS} that may be used there"),
        Row("silent", "{text}", "expected credentials and AWS_ENDPOINT_URL of an object store"),
        Row("*", _ANSWERS, "{otherwise}"),
    ),
)


# ---- Tracking (MLflow, requests, SQLAlchemy; botocore where MLflow's artifacts lie on an object store)


def _read_artifacts(error: Any) -> Facts | None:
    ours = _is(error, "botocore.exceptions.ClientError", "boto3.exceptions.S3UploadFailedError")
    return Facts("refused", {"text": str(error)}) if ours else None


def _read_tracking_server(error: Any) -> Facts | None:
    status = _tracking_status(error)
    if status in (401, 403):
        call = re.search(r"/mlflow/[a-z/-]+|/mlflow-artifacts/", str(error))
        words = {**_who_asked(), "call": f" ({call[0]})" if call else ""}
        return Facts("host" if "Invalid Host header" in str(error) else str(status), words)
    if status is not None and status >= 500:
        return Facts(str(status))
    failed = _failed_request(error)
    if failed is not None:
        return Facts("silent", {"text": connection_problem(next(iter(failed.args), failed))})
    if _is(error, "sqlalchemy.exc.OperationalError") or getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE":
        said = without_secrets(str(error)).partition("(Background on")[0]
        return Facts("silent", {"text": f"the database does not do that ({' '.join(said.split())[:300]})"})
    return None


_TRACKING_CODES = {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403}


def _tracking_status(error: BaseException) -> int | None:
    """The HTTP status of the tracking server's answer; None where there was none, or MLflow gave a reason itself."""
    failed = _failed_request(error)
    if failed is not None:
        if getattr(failed, "response", None) is not None:
            return int(failed.response.status_code)
        repeated = re.search(r"too many (\d{3}) error responses", str(failed))
        return int(repeated[1]) if repeated else None
    is_mlflow = _is(error, "mlflow.exceptions.MlflowException")
    return _TRACKING_CODES.get(getattr(error, "error_code", "")) if is_mlflow else None


def _failed_request(error: BaseException) -> Any:
    """The failed request to the tracking server that an error is, or that MLflow raised it over."""
    links: list[Any] = [error]
    if _is(error, "mlflow.exceptions.MlflowException"):
        links += [link for link in (error.__cause__, error.__context__) if link is not None]
    for link in links:
        if _is(link, "requests.exceptions.RequestException"):
            url = getattr(getattr(link, "request", None), "url", None) or ""
            if link is not error or url.startswith(tracking_address().rstrip("/")):
                return link
    return None


def _who_asked() -> dict[str, str]:
    from mlflow.utils.credentials import read_mlflow_creds

    if name := read_mlflow_creds().username:
        return {"user": f"the user {name}", "login": f"the user {name} with this password"}
    user = "this token" if os.environ.get("MLFLOW_TRACKING_TOKEN") else "a request without a user"
    return {"user": user, "login": user}


ARTIFACTS = Service(
    _read_artifacts,
    (Row("*", "{text}", f"{_KEYS} of somebody who may read and write them"),),
)
TRACKING_SERVER = Service(
    _read_tracking_server,
    (
        Row(
            "host",
            "MLflow refuses this host name",
            "expected an address whose host is among its --allowed-hosts",
        ),
        Row(
            "401",
            "MLflow does not accept {login}",
            "expected a user that it knows in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN",
        ),
        Row(
            "403",
            "MLflow does not let {user} do that{call}",
            "expected a user with the permission EDIT or MANAGE; whoever administers MLflow gives it",
        ),
        Row(
            "silent",
            "{text}",
            "expected the tracking server that MLFLOW_TRACKING_URI names; run the command again when it answers",
        ),
        Row(
            "*",
            "MLflow answers {code}",
            "expected a server that works, its log says more; run the command again when it does",
        ),
    ),
)


# ---- Kubeflow Pipelines and Kubernetes (urllib3 below both)


def _read_pipelines(error: Any) -> Facts | None:
    if not _is(error, "kfp_server_api.exceptions.ApiException"):
        return _read_silence(error)
    body = json_body(error) or {}
    said = " ".join(without_secrets(str(body.get("message") or body.get("error") or "")).split())[:300]
    return Facts(str(error.status), {"text": f"{error.reason}{f' ({said})' if said else ''}"})


KFP_TOKEN = "expected a valid token in KFP_TOKEN, or in the file that KFP_TOKEN_FILE names"
PIPELINES = Service(
    _read_pipelines,
    (
        Row("401|403", "{code} {text}", KFP_TOKEN),
        _SILENT_SERVER,
        Row("*", "{code} {text}", "expected it to take the request"),
    ),
)


def _read_cluster(error: Any) -> Facts | None:
    if not _is(error, "kubernetes.client.exceptions.ApiException"):
        return None
    body = json_body(error)
    # The API itself answers in JSON, of a kind of object that it knows.
    code = "no such kind" if error.status == 404 and body is None else str(error.status)
    return Facts(code, {"text": str((body or {}).get("message", error.reason))})


CLUSTER = Service(
    _read_cluster,
    (
        Row(
            "401|403",
            "the cluster forbids to {call} in namespace {namespace} ({text})",
            "expected the role sss-pipeline to be bound to this pod's service account",
        ),
        Row("no such kind", "the cluster knows no TrainJob ({kind})", "expected Kubeflow Trainer 2.3 in it"),
        Row("404", "the cluster can't {call} in namespace {namespace}: {text}"),
        Row("*", "the cluster refuses to {call} in namespace {namespace}: {text}"),
    ),
)


def json_body(error: Any) -> dict[str, Any] | None:
    """A Kubernetes or Kubeflow API's own account of an error; None where something else answered."""
    text = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


# ---- DVC, which counts the transfers that failed and only logs why


def dvc_error(errors: Iterable[BaseException], where: str, *, otherwise: str) -> Exception:
    """The one error to raise for those that DVC raised or logged; that of a full disk stays as it is."""
    links = [link for error in errors for link in _chain(error)]
    if full := next(filter(_is_full_disk, links), None):
        return full
    known = {code for row in DVC.table for code in row.codes.split("|")}
    telling = next((link for link in links if type(link).__name__ in known), links[0])
    return InputError(explain(telling, DVC, where, otherwise=otherwise))


def _read_dvc(error: Any) -> Facts:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Facts(type(error).__name__, {"text": " ".join(without_secrets(lines[0]).split()).rstrip(".")})


DVC = Service(
    _read_dvc,
    (
        Row(
            "EndpointConnectionError|ClientConnectorError|ConnectTimeoutError",
            "{text}",
            "expected an object store there (endpointurl of the remote, or AWS_ENDPOINT_URL)",
        ),
        Row("PermissionError|NoCredentialsError|PartialCredentialsError", "{text}", f"{_KEYS} that may be used there"),
        Row("FileNotFoundError", "{text}", "expected a bucket or folder that exists"),
        Row("LockError", "{text}", "expected no other DVC command at work in this repository"),
        Row(
            "OutputAlreadyTrackedError",
            "{text}",
            "expected git to leave it to DVC, run `git rm -r --cached` on it",
        ),
        Row(
            "NotDvcRepoError",
            "{text}",
            "expected a DVC repository, run `dvc init`, where there is no git `dvc init --no-scm`",
        ),
        Row(
            "SCMError",
            "{text}",
            "expected a repository of git or, where there is none, `dvc config core.no_scm true`",
        ),
        Row("NoRemoteError", "{text}", "expected a default remote, run `dvc remote add -d NAME URL`"),
        Row("*", "{text}", "{otherwise}"),
    ),
)


def _is_full_disk(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it: libraries wrap, for instance, a full disk in errors of their own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is(error: object, *names: str) -> bool:
    """Whether an error is of one of these classes, by full name."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)
