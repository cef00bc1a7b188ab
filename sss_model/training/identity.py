"""Names for trainings: by recipe, data and code, or by recipe and data alone."""

from __future__ import annotations

import hashlib
import json

from sss_model.config import NOT_TRAINED, Config, dump_config
from sss_model.files import code_sha256


def training_identity(
    config: Config,
    *,
    data_version: str,
    manifest_sha256: str,
    pretrained_sha256: str | None = None,
    parent_sha256: str | None = None,
) -> str:
    """A name for the work folder of a training; it changes with anything that could change the weights."""
    weights = [pretrained_sha256 or "", parent_sha256 or ""]
    return _short_hash(_trained_recipe(config), data_version, manifest_sha256, *weights, code_sha256())


def recipe_identity(config: Config, *, manifest_sha256: str, pretrained_sha256: str | None = None) -> str:
    """A name for what is trained on which data, whatever the code: results are found again under it."""
    return _short_hash(_trained_recipe(config), manifest_sha256, pretrained_sha256 or "")


def _trained_recipe(config: Config) -> str:
    # Where a model is registered and how it is scored changes no weight.
    recipe = {key: value for key, value in dump_config(config).items() if key not in NOT_TRAINED}
    return json.dumps(recipe, sort_keys=True)


def _short_hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
