"""Which scans to label next."""

from __future__ import annotations

import numpy as np

from sss_ops.prediction.suggest import choose

NONE = np.zeros((0, 3))
APART = np.eye(3)


def chosen(doubt: list[float], pictures: np.ndarray, patients: str, labelled: np.ndarray = NONE, **how: float) -> list:
    settings = {"count": 9, "max_similarity": 0.75} | how
    return choose(np.array(doubt), pictures, list(patients), labelled, **settings)


def test_the_worst_come_first() -> None:
    assert [one.scan for one in chosen([0.1, 0.5, 0.3], APART, "abc")] == [1, 2, 0]
    assert [one.scan for one in chosen([0.1, 0.5, 0.3], APART, "abc", count=2)] == [1, 2]


def test_of_a_patient_one_scan_comes() -> None:
    assert [one.scan for one in chosen([0.4, 0.5, 0.3], APART, "aab")] == [1, 2]


def test_max_similaritys_come_once_and_those_like_labelled_ones_not_at_all() -> None:
    twins = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert [one.scan for one in chosen([0.5, 0.4, 0.1], twins, "abc")] == [0, 2]
    assert [one.scan for one in chosen([0.5, 0.4, 0.1], twins, "abc", np.array([[1.0, 0, 0]]))] == [2]


def test_a_different_scan_comes_before_a_slightly_worse_one_that_is_like_another() -> None:
    near = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    first, second, third = chosen([0.5, 0.4, 0.3], near, "abc")
    assert [first.scan, second.scan, third.scan] == [0, 2, 1]
    assert (third.nearest, round(third.similarity, 6)) == (0, 0.6)
    assert first.nearest is None


def test_the_nearest_counts_the_labelled_first() -> None:
    [one] = chosen([0.5], np.array([[0.6, 0.8, 0]]), "a", np.array([[0.0, 0, 1], [1, 0, 0]]))
    assert (one.nearest, round(one.similarity, 6)) == (1, 0.6)
