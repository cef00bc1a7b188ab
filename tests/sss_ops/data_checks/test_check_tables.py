from __future__ import annotations

import numpy as np
import pytest

from sss_ops.data_checks.tables import excess


def test_a_uniform_cohort_allows_the_factor_either_way():
    values = np.array([10.0] * 10 + [39, 2.6, 41, 2.4])
    assert (excess(values, factor=4, deviations=6) > 1).tolist() == [False] * 12 + [True] * 2


def test_a_varied_cohort_allows_what_it_varies():
    values = np.array([1.0, 2, 4, 8, 16, 32, 64, 2000])
    assert (excess(values, factor=4, deviations=2) > 1).tolist() == [False] * 7 + [True]


def test_of_several_axes_the_farthest_counts():
    spacing = np.array([[1.0, 1, 8], [1, 1, 8], [1, 1, 8], [1, 1, 80]])
    assert excess(spacing, factor=10, deviations=6) == pytest.approx([0, 0, 0, 1])


def test_what_is_not_there_is_neither_usual_nor_far():
    found = excess(np.array([np.nan, 5, 5, 5, 50]), factor=4, deviations=6)
    assert np.isnan(found[0]) and (found[1:] > 1).tolist() == [False, False, False, True]
    assert np.isnan(excess(np.array([np.nan, np.nan]), factor=4, deviations=6)).all()
