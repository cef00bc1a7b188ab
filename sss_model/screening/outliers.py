"""What lies far outside its cohort."""

from __future__ import annotations

import math

import numpy as np

# Of a normal distribution: standard deviations per median absolute deviation.
_ROBUST = 1.4826


def excess(values: np.ndarray, *, factor: float, deviations: float) -> np.ndarray:
    """How far each value is from the cohort's median, as a multiple of what is allowed: above 1 it is far outside.

    Allowed is `factor` times the median or one `factor`-th of it, or, where the cohort itself varies more, `deviations`
    robust standard deviations of the logarithm: wrong units and swapped headers are caught, variety is not.

    Args:
        values: (n,) or (n, k), positive; NaN where there is none.
        factor: greater than 1.

    Returns:
        (n,), of k values the farthest; NaN where all are.
    """
    logarithms = np.log(values.reshape(len(values), -1))
    distance = np.abs(logarithms - _median(logarithms))
    allowed = np.maximum(math.log(factor), deviations * _ROBUST * _median(distance))
    return np.fmax.reduce(distance / allowed, axis=1)


def _median(values: np.ndarray) -> np.ndarray:
    """The median of each column without NaN, 0 for a column that has nothing else."""
    some = ~np.isnan(values).all(axis=0)
    usual = np.zeros(values.shape[1])
    usual[some] = np.nanmedian(values[:, some], axis=0)
    return usual
