from pathlib import Path

import numpy as np

from sss_model.evaluation.confusion import confusion_shares, count_confusion, write_confusion

LABELS = {"background": 0, "cavity": 1, "wall": 2}


def test_rows_are_true_classes_and_columns_predicted_ones() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 2, 2]], np.uint8)
    assert count_confusion(truth, prediction, 3).tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]


def test_shares_are_of_each_true_class(tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    write_confusion(np.array([[990, 10, 0], [1, 2, 1], [0, 0, 0]]), LABELS, path)
    names, shares = confusion_shares(path)
    assert names == list(LABELS)
    assert shares == [[99.0, 1.0, 0.0], [25.0, 50.0, 25.0], [0.0, 0.0, 0.0]]


def test_counts_do_not_overflow_in_large_volumes() -> None:
    mask = np.full((400, 400, 10), 2, np.uint8)
    assert count_confusion(mask, mask, 3)[2, 2] == mask.size
