"""The alarm for a class that PCSW keeps rejecting."""

from __future__ import annotations

import math

from sss_model.pcsw import AcceptanceWatch, watch_acceptance

WATCH = AcceptanceWatch(names=("cavity", "wall"), threshold=0.05, patience=10)


def warnings(rows: list[tuple[float, float]], watch: AcceptanceWatch = WATCH) -> list[tuple[int, str]]:
    """(step, sentence) of each warning."""
    found = []
    for step, row in enumerate(rows):
        watch, sentences = watch_acceptance(watch, row)
        found += [(step, sentence) for sentence in sentences]
    return found


def test_a_class_that_is_always_rejected_is_named_once_when_patience_is_over():
    ((step, sentence),) = warnings([(0.9, 0.01)] * 30)
    assert step == 9
    assert sentence.startswith("PCSW kept 1.0% of what was predicted as wall over the last 10 logged steps")
    assert "pcsw.thin" in sentence and "cavity" not in sentence


def test_steps_that_do_not_predict_a_class_do_not_count():
    assert warnings([(0.9, math.nan)] * 50) == []
    assert [step for step, _ in warnings([(0.9, math.nan), (0.9, 0.0)] * 15)] == [19]


def test_what_is_kept_now_and_then_is_no_alarm_and_what_stops_being_kept_is():
    assert warnings([(0.9, 0.0), (0.9, 0.4)] * 30) == []
    assert [sentence[:40] for _, sentence in warnings([(0.9, 0.9)] * 20 + [(0.9, 0.0)] * 60)] != []


def test_nothing_is_changed_in_place():
    watch_acceptance(WATCH, (0.0, 0.0))
    assert WATCH.means == () and WATCH.steps == ()
