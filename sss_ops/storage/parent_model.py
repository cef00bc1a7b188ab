"""The trained model that a training starts from: ``train.init_from``, a folder or a model in MLflow's registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sss_model.errors import InputError
from sss_ops.registry.versions import fetch_checkpoint, version_at
from sss_ops.tracking.store import tracking_client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from sss_model.config import Config
    from sss_model.training.fine_tuning import Parent


SCHEME = "models:/"


@contextmanager
def pinned_recipe(params: Path) -> Iterator[Path]:
    """A recipe in which ``train.init_from`` names a version of a model where it named an alias.

    An alias moves; what a training started from must not change while it runs, nor between its processes.

    Raises:
        InputError: the recipe can't be read, or MLflow has no such model, alias or version.
    """
    from sss_model.config import dump_config, load_config

    recipe = dump_config(load_config(params))
    named = recipe["train"]["init_from"]
    exact = _exact(_version(named)) if named and named.startswith(SCHEME) else named
    if exact == named:
        yield params
        return
    recipe["train"]["init_from"] = exact
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        path = Path(folder, params.name)
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        yield path


def parent_of(config: Config) -> Parent | None:
    """The trained model that ``train.init_from`` means, fetched where MLflow has it; None where it names none.

    Raises:
        InputError: it can't be had, or is no checkpoint that this code reads.
    """
    from sss_model.training.fine_tuning import Parent

    named = config.train.init_from
    if named is None:
        return None
    if not named.startswith(SCHEME):
        return Parent.read(Path(named), named)

    version = _version(named)
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        try:
            place = fetch_checkpoint(version.name, str(version.version), Path(folder, "model"))
            return Parent.read(place, _exact(version))
        except InputError as error:
            raise InputError(f"train.init_from: {str(error).replace(folder, 'its files')}") from None


def _version(address: str) -> ModelVersion:
    try:
        return version_at(tracking_client(), address)
    except InputError as error:
        raise InputError(f"train.init_from: {error}") from None


def _exact(version: ModelVersion) -> str:
    return f"{SCHEME}{version.name}/{version.version}"
