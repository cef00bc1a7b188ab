"""A training whose numbers are no numbers any more: told at once, before anything of it is saved or chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from sss_model.config import Train
from sss_model.errors import InputError


def finite_scalars(scalars: Mapping[str, Tensor], *, step: int, settings: Train) -> dict[str, float]:
    """A step's scalars as numbers; those that are NaN because they don't apply, a class not seen, are left out.

    Raises:
        InputError: the loss is NaN or infinite.
    """
    numbers = {name: float(value) for name, value in scalars.items()}
    if not math.isfinite(numbers["loss"]):
        raise _diverged(f"the loss is {numbers['loss']}", step, settings)
    return {name: number for name, number in numbers.items() if not math.isnan(number)}


def check_weights(weights: Iterable[Tensor], *, step: int, settings: Train) -> None:
    """Raise `InputError` where a weight is NaN or infinite: the step that broke it may be one that isn't logged."""
    if not torch.stack([tensor.isfinite().all() for tensor in weights]).all():
        raise _diverged("weights are NaN or infinite", step, settings)


def _diverged(what: str, step: int, settings: Train) -> InputError:
    precision = "" if settings.precision == "32-true" else " or train.precision 32-true"
    return InputError(
        f"train: {what} at step {step}; expected finite numbers: try a lower train.lr than {settings.lr:g}{precision}, "
        "or look for scans of strange intensities with sss validate-splits"
    )
