"""Versions of registered models: found by number, alias or run, and their checkpoints fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.errors import sentence_about, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

ADDRESS_FORMS = "a run's id, models:/NAME/VERSION or models:/NAME@champion"
_RUN = re.compile(r"(?:runs:/)?([0-9a-f]{32})")
_MODEL = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))?")


def is_address(text: str) -> bool:
    """Whether a text is the address of a version in MLflow rather than a folder.

    >>> [is_address(text) for text in ("models:/heart@champion", "runs:/" + 32 * "0", "runs/heart")]
    [True, True, False]
    """
    return text.startswith("models:/") or bool(_RUN.fullmatch(text))


def version_at(client: MlflowClient, address: str) -> ModelVersion:
    """Find the version at an address.

    >>> version_at(client, "models:/heart/3").version  # doctest: +SKIP
    '3'
    >>> version_at(client, "heart").aliases  # doctest: +SKIP
    ['champion']

    Args:
        address: id of the run that the version was registered with, or ``models:/NAME/VERSION`` or
            ``models:/NAME@ALIAS``; without version and alias, the champion. ``models:/`` may be left out.

    Raises:
        InputError: not an address, no such version, or a run with several.
    """
    run = _RUN.fullmatch(address)
    if run:
        return _version_of_run(client, run[1])
    model = _MODEL.fullmatch(address)
    if not model:
        raise InputError(f"{address}: not the address of a model; expected {ADDRESS_FORMS}")
    name, number, alias = model["name"], model["version"], model["alias"] or CHAMPION
    aliases = read_model(client, name).aliases
    number = number or aliases.get(alias)
    if number is None:
        raise InputError(f"{name}: no version has the alias {alias}; expected one that `sss registry {name}` lists")
    version = find_version(client, name, str(number))
    if version is None:
        raise InputError(f"{name}: no version {number}; expected one that `sss registry {name}` lists")
    return version


def read_model(client: MlflowClient, name: str) -> RegisteredModel:
    """A registered model with its aliases and tags; raises `InputError` where there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(f"{name}: no such model in MLflow; expected one that `sss registry` lists") from None


def find_version(client: MlflowClient, name: str, version: str) -> ModelVersion | None:
    """A version, or None where it was deleted or never existed."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def fetch_checkpoint(name: str, version: str, folder: Path) -> Path:
    """Download the checkpoint of a version into a new folder; returns the checkpoint's own folder inside it.

    Raises:
        InputError: MLflow can't give it; the sentence names the version.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import get_model_info

    folder.mkdir()
    try:
        # Kept under the name that the folder had when it was registered.
        packed = get_model_info(f"models:/{name}/{version}").flavors["python_function"]["artifacts"]["checkpoint"]
        return Path(download_artifacts(f"models:/{name}/{version}/{packed['path']}", dst_path=str(folder)))
    except KeyError:
        raise InputError(f"{name} version {version}: holds no checkpoint; expected what `sss register` makes") from None
    except (MlflowException, OSError) as error:
        reason = download_failure(error)
        raise InputError(f"{name} version {version}: its checkpoint can't be fetched ({reason})") from None


def download_failure(error: Exception) -> str:
    """Why a download from MLflow failed, in one line; MLflow puts the first file's reason below a headline."""
    text = without_secrets(str(error))
    return sentence_about(error) or (text.partition(" #####\n")[2] or text).splitlines()[0]


def _version_of_run(client: MlflowClient, run_id: str) -> ModelVersion:
    found = client.search_model_versions(f"run_id = '{run_id}'")
    if not found:
        raise InputError(f"run {run_id}: no version of a model came of it; expected a run that `sss register` ended")
    if len(found) > 1:
        names = ", ".join(sorted(f"models:/{version.name}/{version.version}" for version in found))
        raise InputError(f"run {run_id}: several versions came of it; expected one of {names}")
    return found[0]
