"""How a person names a version: by number, by alias, or by the run that it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.registry.state import CHAMPION, read_state
from sss_ops.registry.versions import find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

FORMS = "a run's id, models:/NAME/VERSION or models:/NAME@champion"
_RUN = re.compile(r"(?:runs:/)?([0-9a-f]{32})")
_MODEL = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))?")


def is_address(text: str) -> bool:
    """Whether a text names a version in MLflow, and no folder."""
    return text.startswith("models:/") or bool(_RUN.fullmatch(text))


def version_named(client: MlflowClient, text: str) -> ModelVersion:
    """The version that an address means.

    Args:
        text: the id of the run that the version was registered with, or ``models:/NAME/VERSION`` or
            ``models:/NAME@ALIAS``; without a version or an alias, the champion.

    Raises:
        InputError: it is no address, there is no such version, or a run has several.
    """
    run = _RUN.fullmatch(text)
    if run:
        return _of_run(client, run[1])
    model = _MODEL.fullmatch(text)
    if not model:
        raise InputError(f"{text}: not the address of a model; expected {FORMS}")
    name, number, alias = model["name"], model["version"], model["alias"] or CHAMPION
    state = read_state(client, name)
    number = number or state.aliases.get(alias)
    if number is None:
        raise InputError(f"{name}: no version has the alias {alias}; expected one that `sss registry {name}` lists")
    version = find_version(client, name, number)
    if version is None:
        raise InputError(f"{name}: no version {number}; expected one that `sss registry {name}` lists")
    return version


def _of_run(client: MlflowClient, run_id: str) -> ModelVersion:
    found = client.search_model_versions(f"run_id = '{run_id}'")
    if not found:
        raise InputError(f"run {run_id}: no version of a model came of it; expected a run that `sss register` ended")
    if len(found) > 1:
        names = ", ".join(sorted(f"models:/{version.name}/{version.version}" for version in found))
        raise InputError(f"run {run_id}: several versions came of it; expected one of {names}")
    return found[0]
