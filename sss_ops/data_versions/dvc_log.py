"""Errors that DVC raises or only logs, as one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sss_model.errors import InputError
from sss_ops.errors import dvc_error

# In the order of what says most: DVC counts the transfers that failed and only logs why.
_LOGGERS = ("dvc", "dvc_data", "dvc_objects")


@contextmanager
def dvc_sentences(where: str, otherwise: str) -> Iterator[None]:
    """Turn what DVC raises or logs into an `InputError` about `where`; the error of a full disk stays an `OSError`.

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
            raise dvc_error([*causes, error], where, otherwise=otherwise) from None
        if causes:
            # `dvc add` only logs that a file did not fit into its cache, and records a version that lacks it.
            raise dvc_error(causes, where, otherwise=otherwise)


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
