"""From what a recipe calls a trained model to its checkpoint."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.config import Config
    from sss_model.fine_tuning import Parent

SCHEME = "models:/"
_ADDRESS = re.compile(r"models:/+([^/@]+)(?:/(\d+)|@([^/@]+))")


@contextmanager
def pinned(params: Path) -> Iterator[Path]:
    """A recipe in which ``train.init_from`` names a version of a model where it named an alias.

    An alias moves; what a training started from must not change while it runs, nor between its processes.

    Raises:
        InputError: the recipe can't be read, or MLflow has no such model, alias or version.
    """
    from sss_model.config import dump_config, load_config

    recipe = dump_config(load_config(params))
    named = recipe["train"]["init_from"]
    exact = _exact(named) if named and named.startswith(SCHEME) else named
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
    from sss_model.fine_tuning import Parent

    named = config.train.init_from
    if named is None:
        return None
    if not named.startswith(SCHEME):
        return Parent.read(Path(named), named)
    exact = _exact(named)
    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        try:
            return Parent.read(_fetched(exact, folder), exact)
        except InputError as error:
            raise InputError(f"train.init_from: {exact}: {str(error).replace(folder, 'its files')}") from None


def _exact(address: str) -> str:
    """``models:/NAME/VERSION`` of an address that may have an alias in place of the version."""
    from mlflow.exceptions import MlflowException

    from components.tracking import connect

    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise InputError(
            f"train.init_from: found {address}; expected models:/NAME/VERSION, models:/NAME@ALIAS or a checkpoint's "
            "folder"
        )
    name, version, alias = parts.groups()
    client = connect()
    try:
        found = client.get_model_version(name, version) if version else client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"train.init_from: {address}: MLflow gives no such version ({reason}); expected one that `sss registry` "
            "lists"
        ) from None
    return f"{SCHEME}{name}/{found.version}"


def _fetched(address: str, folder: str) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import get_model_info

    try:
        # Under the name that the folder had where it was registered.
        packed = get_model_info(address).flavors["python_function"]["artifacts"]["checkpoint"]
        return Path(download_artifacts(f"{address}/{packed['path']}", dst_path=folder))
    except KeyError:
        raise InputError("it holds no checkpoint; expected what `sss register` makes") from None
    except (MlflowException, OSError) as error:
        raise InputError(f"its checkpoint can't be fetched ({str(error).splitlines()[0]})") from None
