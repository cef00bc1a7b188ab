"""Every key of a recipe with its default, unit, bounds and meaning, and recipes written with them."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from sss_model.config import SECTIONS, Config, dump_config, registry_names

_LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}", "multiple_of": "multiple of {}"}
LINE_WIDTH = 120


@dataclass(frozen=True)
class RecipeKey:
    """What is to be known of a key.

    Attributes:
        section: its section; empty for ``seed``.
        unit: of its value, such as ``mm``; empty where it has none.
        bounds: allowed values in words, such as ``at least 1`` or the words to choose from.
        meaning: one or more sentences.
    """

    section: str
    name: str
    default: Any
    unit: str
    bounds: str
    meaning: str

    @property
    def dotted(self) -> str:
        """The key with its section, such as ``train.lr``."""
        return f"{self.section}.{self.name}" if self.section else self.name

    def value_in(self, recipe: dict[str, Any]) -> Any:
        """The key's value in a recipe shaped like `dump_config`'s."""
        return recipe[self.section][self.name] if self.section else recipe[self.name]


def recipe_keys() -> list[RecipeKey]:
    """All keys, in the order of a recipe.

    >>> [key.name for key in recipe_keys() if key.unit == "HU"]
    ['window']
    """
    seed = _key("", "seed", Config.model_fields["seed"])
    sections = SECTIONS.items()
    return [seed, *(_key(section, *item) for section, model in sections for item in model.model_fields.items())]


def _key(section: str, name: str, field: FieldInfo) -> RecipeKey:
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    meaning = " ".join((field.description or "").split()).replace("``", "`")
    return RecipeKey(section, name, field.default, unit, _bounds(field), meaning)


def _bounds(field: FieldInfo) -> str:
    choices = [str(choice) for choice in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
    if choices:
        return ", ".join(choices[:-1]) + f" or {choices[-1]}"
    limits = {name: getattr(each, name) for each in _constraints(field) for name in _LIMITS if hasattr(each, name)}
    if "ge" in limits and "le" in limits:
        return f"{limits['ge']:g} to {limits['le']:g}"
    return ", ".join(words.format(f"{limits[name]:g}") for name, words in _LIMITS.items() if name in limits)


def _constraints(annotated: Any) -> Iterator[Any]:
    """Bounds of a field, or of the items of its list or dictionary."""
    if isinstance(annotated, FieldInfo):
        yield from annotated.metadata
        annotated = annotated.annotation
    for each in get_args(annotated):
        yield from _constraints(each)


def default_recipe(data: str) -> dict[str, Any]:
    """What a recipe for a data set is if it states nothing, shaped like `dump_config`'s; without a budget."""
    sections = {name: model.model_construct().model_dump(mode="json") for name, model in SECTIONS.items()}
    sections["register"] |= registry_names(data)
    return {"seed": Config.model_fields["seed"].default, **sections}


def differences(config: Config) -> dict[str, Any]:
    """The keys of a recipe that are not as the defaults, shaped like a recipe; `parse_config` reads it back.

    >>> from sss_model.config import parse_config
    >>> differences(parse_config({"train": {"steps": 10, "batch": 4}}, where="example"))
    {'train': {'steps': 10}}
    """
    values, found = dump_config(config), dict[str, Any]()
    for key in _differing(config):
        section = found.setdefault(key.section, {}) if key.section else found
        section[key.name] = key.value_in(values)
    return found


def _differing(config: Config) -> list[RecipeKey]:
    values, defaults = dump_config(config), default_recipe(config.data.name)
    return [key for key in recipe_keys() if key.value_in(values) != key.value_in(defaults)]


def recipe_yaml(config: Config, *, name: str, diff: bool = False) -> str:
    """A recipe as YAML with comments: what differs from the defaults as a list, then every key with its meaning.

    Args:
        name: of the recipe, for the first line.
        diff: only the keys that differ, without their meanings.
    """
    keys, differing = recipe_keys(), _differing(config)
    values, defaults = dump_config(config), default_recipe(config.data.name)
    lines = [f"# {name}: {len(differing)} of {len(keys)} keys differ from the defaults."]
    if not diff:
        lines += [f"#   {key.dotted}: {_flow(key.value_in(values))}" for key in differing] + [""]
    for section, of_section in itertools.groupby(differing if diff else keys, lambda key: key.section):
        if section:
            lines += [f"{section}:"] if diff else ["", f"{section}:"]
        for key in of_section:
            lines += _entry(key, key.value_in(values), key.value_in(defaults), explained=not diff)
    return "\n".join(lines) + "\n"


def _entry(key: RecipeKey, value: Any, default: Any, *, explained: bool) -> list[str]:
    """The lines of a key: its meaning, and its value with default, unit and bounds."""
    indent = "  " if key.section else ""
    meaning = textwrap.wrap(key.meaning, LINE_WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    compared = "default" if value == default else f"default {_flow(default)}"
    note = "; ".join(part for part in (compared, key.unit, key.bounds) if part)
    return [*(meaning if explained else []), f"{indent}{key.name}: {_flow(value)}  # {note}"]


def _flow(value: Any) -> str:
    """A value in YAML, on one line."""
    return yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=sys.maxsize)[1:-2]
