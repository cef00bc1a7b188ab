"""Checkpoints of Meta's form, with the names and shapes of the real ones and next to no bytes."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from sss_model.network.sam2 import config_file

SIZES = ("tiny", "small", "base_plus", "large")
VERSIONS = ("2.0", "2.1")


@cache
def whole_model(size: str, version: str) -> Any:
    """The whole of SAM-2 as its own configuration says, on the device `meta`: shapes, no numbers."""
    # Hiera reads numbers off a tensor while it is built, which that device has none of.
    with torch.device("meta"), patch.object(torch, "linspace", partial(torch.linspace, device="cpu")):
        return instantiate(OmegaConf.load(config_file(size, version)).model)


def weights_of(size: str, version: str, number: float = 0.5) -> dict[str, torch.Tensor]:
    """A tensor for every name; all of its numbers are one, so that a file of it holds one. A network that is to learn
    from there wants a small one."""
    names = whole_model(size, version).state_dict()
    return {name: torch.full((1,), number).expand(value.shape) for name, value in names.items()}


def write_checkpoint(path: Path, size: str, version: str, number: float = 0.5) -> Path:
    torch.save({"model": weights_of(size, version, number)}, path)
    return path
