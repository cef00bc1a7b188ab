"""One tag that says what is to become of a model's aliases, so that a half-done change can be finished or undone.

MLflow moves one alias a call. A decision moves up to three and leaves its record, so it is written down first, in one
call: from then on, whoever comes next can carry it out. Every write may be repeated without harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.registry.versions import find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_ops.registry.lock import Lease


INTENT = "sss.intent"
AUDIT = "sss.audit."

Aliases = dict[str, str | None]


@dataclass(frozen=True)
class Intent:
    """A decision about a model.

    Attributes:
        id: when it was made, sortable; names its record.
        state: pending, done, or undone.
        before, after: of those aliases that change, alias to version, None for one that is absent.
        audited: the champion of the decision before this one.
        record: what is kept of it on the versions it concerns; see `sss_ops.registry.decisions`.
    """

    id: str
    before: Aliases
    after: Aliases
    audited: str | None
    record: dict[str, Any] = field(default_factory=dict)
    state: str = "pending"

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Intent:
        """Read the tag of the model `where`; raises `InputError` where it is not one of ours."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise InputError(
                f"{where}: its tag {INTENT} was changed by hand; expected what sss wrote, delete the tag in MLflow"
            ) from None


def carry_out(client: MlflowClient, lease: Lease, name: str, intent: Intent) -> None:
    """Write an intent down, then do what it says."""
    _write(lease, _steps_of(client, name, intent))


def settle(client: MlflowClient, lease: Lease, name: str, intent: Intent | None) -> str | None:
    """Finish what was cut off; where the version that was to become champion is gone, put everything back.

    Returns:
        A sentence about what was done; None where nothing was left open.
    """
    if intent is None or intent.state != "pending":
        return None
    what = f"{name}: {intent.record.get('action', 'a decision')} of {intent.record.get('when', intent.id)} was cut off"
    champion = intent.after.get("champion")
    if champion is not None and find_version(client, name, champion):
        _write(lease, _steps_of(client, name, intent))
        return f"{what}; it has been completed"
    _write(lease, _steps_back(client, name, intent))
    return f"{what} and its version {champion} is gone; it has been undone"


def _write(lease: Lease, steps: Iterator[Callable[[], Any]]) -> None:
    for step in steps:
        lease.check()
        step()


def _steps_of(client: MlflowClient, name: str, intent: Intent) -> Iterator[Callable[[], Any]]:
    yield _mark(client, name, intent)
    yield from _aliases(client, name, intent.before, intent.after)
    record = json.dumps(intent.record, separators=(",", ":"))
    for version in _concerned(client, name, intent):
        yield partial(client.set_model_version_tag, name, version, AUDIT + intent.id, record)
    yield _mark(client, name, replace(intent, state="done"))


def _steps_back(client: MlflowClient, name: str, intent: Intent) -> Iterator[Callable[[], Any]]:
    yield from _aliases(client, name, intent.after, intent.before)
    for version in _concerned(client, name, intent):
        if AUDIT + intent.id in client.get_model_version(name, version).tags:
            yield partial(client.delete_model_version_tag, name, version, AUDIT + intent.id)
    yield _mark(client, name, replace(intent, state="undone"))


def _mark(client: MlflowClient, name: str, intent: Intent) -> Callable[[], Any]:
    return partial(client.set_registered_model_tag, name, INTENT, intent.to_json())


def _aliases(client: MlflowClient, name: str, before: Aliases, after: Aliases) -> Iterator[Callable[[], Any]]:
    """Each alias to its version; one whose version is gone goes too."""
    for alias, version in after.items():
        if version is not None and find_version(client, name, version):
            yield partial(client.set_registered_model_alias, name, alias, version)
        # A registration, which needs no lock, may have given the alias to a newer version meanwhile.
        elif str(client.get_registered_model(name).aliases.get(alias)) in map(str, (before[alias], version)):
            yield partial(client.delete_registered_model_alias, name, alias)


def _concerned(client: MlflowClient, name: str, intent: Intent) -> list[str]:
    """The versions that come to be champion or cease to, those that are still there."""
    both = dict.fromkeys([intent.after.get("champion"), intent.before.get("champion")])
    return [version for version in both if version is not None and find_version(client, name, version)]
