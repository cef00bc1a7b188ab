"""What makes two trainings the same: recipe, data and code."""

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
    # Where a model is registered and how it is scored do not.
    recipe = {key: value for key, value in dump_config(config).items() if key not in NOT_TRAINED}
    weights = [pretrained_sha256 or "", parent_sha256 or ""]
    parts = [json.dumps(recipe, sort_keys=True), data_version, manifest_sha256, *weights, code_sha256()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
