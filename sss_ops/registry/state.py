"""What the registry says of a model: its aliases, and what the last decision was to make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.registry.intent import INTENT, Intent

if TYPE_CHECKING:
    from mlflow import MlflowClient


CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"


@dataclass(frozen=True)
class State:
    """One look at a model.

    Attributes:
        name: the registered model.
        aliases: alias to version.
        intent: the last decision, or None before the first.
    """

    name: str
    aliases: dict[str, str]
    intent: Intent | None

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def audited(self) -> str | None:
        """The version that the last decision made champion."""
        if self.intent is None:
            return None
        return self.intent.after.get(CHAMPION) if self.intent.state == "done" else self.intent.audited

    @property
    def pending(self) -> bool:
        """Whether a decision was cut off, or is being carried out just now."""
        return self.intent is not None and self.intent.state == "pending"

    @property
    def moved_by_hand(self) -> bool:
        """Whether the champion is one that no decision made so."""
        expected = {self.audited}
        if self.intent is not None and self.pending:
            expected = {self.intent.before.get(CHAMPION), self.intent.after.get(CHAMPION)}
        return self.champion not in expected

    def hand_edit(self) -> str | None:
        """A sentence about a champion that was moved outside the gate; None where it was not."""
        if not self.moved_by_hand:
            return None
        found = f"version {self.champion}" if self.champion else "gone"
        decided = f"version {self.audited}" if self.audited else "none yet"
        back = f"; `sss rollback {self.name}` puts it back" if self.audited else ""
        return f"the champion is {found}, but the one that passed the gate is {decided}: moved outside it{back}"


def read_state(client: MlflowClient, name: str) -> State:
    """Look at a model; raises `InputError` where the registry has none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(f"{name}: no such model in MLflow; expected one that `sss registry` lists") from None
    text = model.tags.get(INTENT)
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return State(name, aliases, Intent.from_json(text, where=name) if text else None)
