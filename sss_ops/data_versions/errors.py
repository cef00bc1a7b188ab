"""What DVC and the stores behind it refuse, as one sentence."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sss_model.errors import InputError

# In the order of what says most: DVC counts the transfers that failed and only logs why.
_LOGGERS = ("dvc", "dvc_data", "dvc_objects")
_ENDPOINT = "expected an object store there (endpointurl of the remote, or AWS_ENDPOINT_URL)"
_KEYS = "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY that may be used there"
_EXPECTED = {
    "EndpointConnectionError": _ENDPOINT,
    "ClientConnectorError": _ENDPOINT,
    "ConnectTimeoutError": _ENDPOINT,
    "PermissionError": _KEYS,
    "NoCredentialsError": _KEYS,
    "PartialCredentialsError": _KEYS,
    "FileNotFoundError": "expected a bucket or folder that exists",
    "LockError": "expected no other DVC command at work in this repository",
    "OutputAlreadyTrackedError": "expected git to leave it to DVC, run `git rm -r --cached` on it",
    "NotDvcRepoError": "expected a DVC repository, run `dvc init`, where there is no git `dvc init --no-scm`",
    "SCMError": "expected a repository of git or, where there is none, `dvc config core.no_scm true`",
    "NoRemoteError": "expected a default remote, run `dvc remote add -d NAME URL`",
}


@contextmanager
def one_sentence(where: str, otherwise: str) -> Iterator[None]:
    """Turn what DVC raises or logs into an `InputError` about `where`.

    A full disk stays an `OSError`, which the command line has a sentence for.

    Args:
        otherwise: what was expected, where the refusal is none of the usual ones.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException

    with _logged() as causes:
        try:
            yield
        except InputError:
            raise
        except (DvcException, BotoCoreError, ClientError, OSError) as error:
            raise _as_sentence([*causes, error], where, otherwise) from None
        if causes:
            # `dvc add` only logs that a file did not fit into its cache, and records a version that lacks it.
            raise _as_sentence(causes, where, otherwise)


def _as_sentence(causes: list[BaseException], where: str, otherwise: str) -> Exception:
    links = [link for cause in causes for link in _chain(cause)]
    for link in links:
        if isinstance(link, OSError) and link.errno == errno.ENOSPC:
            return link
    telling = next((link for link in links if type(link).__name__ in _EXPECTED), links[0])
    expected = _EXPECTED.get(type(telling).__name__, otherwise)
    return InputError(f"{where}: {_first_line(telling)}; {expected}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split()).rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


class _Causes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


@contextmanager
def _logged() -> Iterator[list[BaseException]]:
    """Gather the exceptions that DVC logs, and keep its log off the terminal."""
    causes = _Causes()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [causes], False
    try:
        yield causes.found
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
