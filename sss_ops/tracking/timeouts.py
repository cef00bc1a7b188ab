"""How long to wait for a tracking server: a minute for a command, seconds where something else would be held up.

MLflow itself would try for a quarter of an hour. A person's own MLFLOW_HTTP_REQUEST_… in the environment go first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# A server, or what stands before it, may ask for an hour.
OBEY = "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"

# Between tries MLflow sleeps 0, 4, 8, 16 and 32 seconds, which outlasts the restart of a server. An upload's answer
# comes when the server has passed everything on to its own store.
_PATIENT = {RETRIES: "5", TIMEOUT: "60", OBEY: "false"}
_SHORT = {RETRIES: "1", TIMEOUT: "10", OBEY: "false"}


def be_patient() -> None:
    """Set what this process's calls to MLflow wait for, unless the environment says it."""
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
