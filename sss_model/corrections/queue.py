"""The queue of patients that lend their labels, when corrected ones join it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sss_model.datasets.assignments import Assignment


def joined(rows: Sequence[Assignment], *, labelled: Collection[str], corrected: Sequence[str]) -> list[Assignment]:
    """Rows of ``splits.csv`` in which corrected patients come after all who had labels before.

    So the first patients of the queue, which ``data.labelled`` counts, stay who they were.

    Args:
        rows: all of them.
        labelled: training cases that have a label already.
        corrected: training cases that get one, in the order in which their patients are to join.
    """
    of_case = {row.case: row for row in rows}
    before = {of_case[case].patient: of_case[case].label_order for case in sorted(labelled)}
    new = list(dict.fromkeys(of_case[case].patient for case in corrected if of_case[case].patient not in before))
    if not new:
        return list(rows)
    # Who has no place in the queue comes last in it, by name: a place keeps him before those who join now.
    unplaced = sorted(patient for patient, order in before.items() if order is None)
    free = 1 + max((row.label_order for row in rows if row.label_order is not None), default=-1)
    places = {patient: free + number for number, patient in enumerate([*unplaced, *new])}
    return [replace(row, label_order=places.get(row.patient, row.label_order)) for row in rows]
