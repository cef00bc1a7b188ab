"""A lock on a registered model's aliases, shared by all processes that use one MLflow store.

MLflow overwrites an alias whatever it was, but creates a registered model of a name only once: whoever creates the one
with the lock's name holds the lock, and deletes it at the end. The lock of a holder that died runs out. It is then not
deleted but renamed, to a name that its token makes unique: of two processes that both find it expired one succeeds, and
the other can't take away the lock that the first one then creates.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.errors import is_refusal
from sss_ops.tracking.store import short_calls

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

LOCK_PREFIX = "sss-lock."
_EXPIRED = ".expired."

LEASE_SECONDS = 60.0
"""How long a lock is good for; a decision takes about ten calls. The users' clocks must agree better than that."""
CALL_SECONDS = 25.0
"""Longest that a call to the store may take: no write begins when less of the lease is left."""
WAIT_SECONDS = 75.0
"""How long to wait for another's lock: longer than the lock of a holder that died is good for."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Lease:
    """A lock that is held until a moment of this process's monotonic clock."""

    name: str
    until: float

    def write(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call the store; raises `InputError` instead when the lock might run out within the call."""
        self.check()
        call(*arguments)

    def check(self) -> None:
        """Raise `InputError` when the lock might run out within the next call."""
        if not self.surely_held():
            raise InputError(
                f"{self.name}: MLflow took too long, the lock would run out; expected seconds, run the command again"
            )

    def surely_held(self) -> bool:
        return self.until - time.monotonic() >= CALL_SECONDS


def is_lock(model: str) -> bool:
    """Whether a registered model is a lock, or the remains of one."""
    return model.startswith(LOCK_PREFIX)


@contextmanager
def hold_lock(
    client: MlflowClient, name: str, *, who: str, wait: float | None = None, notify: Callable[[str], Any] = print
) -> Iterator[Lease]:
    """Hold the lock of a model's aliases for the length of a ``with`` block.

    Args:
        name: the registered model.
        who: shown to those who wait.
        wait: seconds to wait for another holder, `WAIT_SECONDS` if not given.
        notify: is given a sentence when there is a lock to wait for.

    Raises:
        InputError: another holds it all that time.
    """
    # A call that hangs must not outlive the lock.
    with short_calls():
        lease = _take(client, name, who, WAIT_SECONDS if wait is None else wait, notify)
        try:
            yield lease
        finally:
            # A lock that ran out may be another's by now.
            if lease.surely_held():
                _unless("RESOURCE_DOES_NOT_EXIST", client.delete_registered_model, LOCK_PREFIX + name)


def _take(client: MlflowClient, name: str, who: str, wait: float, notify: Callable[[str], Any]) -> Lease:
    deadline = time.monotonic() + wait
    token = uuid.uuid4().hex
    notified = False
    while True:
        until = time.monotonic() + LEASE_SECONDS
        expires = str(time.time() + LEASE_SECONDS)
        tags = {"token": token, "expires": expires, "who": who}
        # Refused a name that is taken, MLflow reads the model that has it; by then that may be gone.
        refusals = "RESOURCE_ALREADY_EXISTS RESOURCE_DOES_NOT_EXIST"
        made = _unless(refusals, client.create_registered_model, LOCK_PREFIX + name, tags)
        holder = None if made else _find(client, LOCK_PREFIX + name)
        # The answer to the call that made it may have been lost, and the call repeated.
        if made or (holder and holder.tags.get("token") == token):
            _sweep(client, name)
            return Lease(name, until)
        if holder and _expired(holder) and _take_away(client, name, holder):
            continue
        if time.monotonic() > deadline:
            # Read again whose it is: another may have taken away the one that had expired.
            holder = _find(client, LOCK_PREFIX + name) or holder
            raise InputError(f"{name}: {_held_by(holder)}; expected nobody else, try again in a minute")
        if holder and not notified:
            notify(f"{name}: {_held_by(holder)}; waiting")
            notified = True
        time.sleep(_POLL_SECONDS)


def _take_away(client: MlflowClient, name: str, holder: RegisteredModel) -> bool:
    """Rename a lock that ran out; false where another process was faster, or is being so.

    On Postgres the slower one of two waits for the faster one's transaction, and then finds nothing to rename: MLflow
    calls that a bad request.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.rename_registered_model(holder.name, LOCK_PREFIX + name + _EXPIRED + holder.tags.get("token", ""))
    except MlflowException as error:
        if is_refusal(error):
            raise InputError(
                f"{name}: the lock {holder.name} of {holder.tags.get('who', 'someone')} ran out, but this user may not "
                "take it away; expected the permission EDIT on it, or somebody who deletes it in MLflow"
            ) from None
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"):
            raise
        return False
    return True


def _find(client: MlflowClient, lock: str) -> RegisteredModel | None:
    found: RegisteredModel | None = _unless("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, lock)
    return found


def _expired(lock: RegisteredModel) -> bool:
    return time.time() > float(lock.tags.get("expires", 0))


def _held_by(lock: RegisteredModel | None) -> str:
    who = lock.tags.get("who", "someone") if lock else "someone"
    return f"{who} is changing its aliases just now"


def _sweep(client: MlflowClient, name: str) -> None:
    """Delete locks that ran out so long ago that nobody is about to rename to their names."""
    prefix = LOCK_PREFIX + name + _EXPIRED
    for model in client.search_registered_models(f"name LIKE '{LOCK_PREFIX}%'"):
        if model.name.startswith(prefix) and time.time() > float(model.tags.get("expires", 0)) + 10 * LEASE_SECONDS:
            # Those of other users may be theirs alone to delete.
            _unless("RESOURCE_DOES_NOT_EXIST PERMISSION_DENIED", client.delete_registered_model, model.name)


def _unless(codes: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns; None where the store refuses it with one of these codes."""
    from mlflow.exceptions import MlflowException

    try:
        return call(*arguments)
    except MlflowException as error:
        if error.error_code in codes.split():
            return None
        raise
