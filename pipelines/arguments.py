"""A run's parameters as a command line gives them: ``NAME=VALUE``, typed as the compiled pipeline says."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sss_model.errors import InputError

_WORDS = {"true": True, "false": False}
_KINDS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": lambda text: _WORDS[text.lower()],
}


def parse_arguments(pairs: Sequence[str], specification: Mapping[str, Any]) -> dict[str, Any]:
    """Read parameters.

    Args:
        pairs: ``NAME=VALUE`` each.
        specification: the compiled pipeline, as read from its YAML.

    Raises:
        InputError: not such a pair, no such parameter, or a value of the wrong kind.
    """
    kinds = {name: spec["parameterType"] for name, spec in _parameters(specification).items()}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{pair}: expected NAME=VALUE, such as steps=100")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise InputError(f"{name}: no such parameter{hint}; expected one of {', '.join(sorted(kinds))}")
        arguments[name] = _value(name, text, kinds[name])
    return arguments


def _parameters(specification: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = specification["root"]["inputDefinitions"]["parameters"]
    return found


def _value(name: str, text: str, kind: str) -> Any:
    try:
        return _KINDS[kind](text)
    except (ValueError, KeyError):
        expected = {"NUMBER_INTEGER": "a whole number", "NUMBER_DOUBLE": "a number", "BOOLEAN": "true or false"}[kind]
        raise InputError(f"{name}: found {text!r}; expected {expected}") from None
