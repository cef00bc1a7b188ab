"""A decision about a model's aliases, taken under its lock and seen through to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sss_ops.registry.decisions import new_id, whoami
from sss_ops.registry.intent import Aliases, Intent, carry_out, settle
from sss_ops.registry.lock import hold
from sss_ops.registry.state import State, read_state

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Move(NamedTuple):
    """What is to become of the aliases, and its record."""

    after: Aliases
    record: dict[str, Any]


def move(client: MlflowClient, name: str, plan: Callable[[State], Move], *, id: str | None = None) -> Intent:
    """Decide under the lock and do it.

    Args:
        name: the registered model.
        plan: is given the model as it is once nothing is left open and nobody else can change it, and says what to do;
            it raises `InputError` to leave everything as it is.
        id: of the decision, `new_id()` if not given.

    Raises:
        InputError: there is no such model, another holds the lock, or `plan` refuses.
    """
    read_state(client, name)  # no lock for a model that is not there
    with hold(client, name, who=whoami(), tell=tell) as lease:
        state = read_state(client, name)
        left_open = settle(client, lease, name, state.intent)
        if left_open:
            tell(left_open)
            state = read_state(client, name)
        after, record = plan(state)
        before = {alias: state.aliases.get(alias) for alias in after}
        intent = Intent(id or new_id(), before, after, state.audited, record)
        carry_out(client, lease, name, intent)
    return intent


def finish(client: MlflowClient, name: str) -> str | None:
    """Complete or undo a decision that was cut off; nothing where none was, or where it is being carried out.

    Returns:
        A sentence about what was done.
    """
    if not read_state(client, name).pending:
        return None
    with hold(client, name, who=whoami(), tell=tell) as lease:
        return settle(client, lease, name, read_state(client, name).intent)


def tell(sentence: str) -> None:
    """Say what goes on beside the answer."""
    print(f"note: {sentence}", file=sys.stderr, flush=True)
