"""Charts of the report: what is in the SVG, and where."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sss_model.evaluation.charts import (
    Chart,
    Spread,
    _ticks,
    _ticks_up_to_one,
    bland_altman,
    line_chart,
    reliability_charts,
    spread_chart,
)
from sss_model.evaluation.volumetry import agreement

PAIRS = [(100.0, 109.0, "p1_a"), (100.0, 104.0, "p2_a"), (90.0, 90.0, "p3_a")]


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(str(chart.svg))


def tips(chart: Chart) -> list[str]:
    return [title.text or "" for title in parsed(chart).iter("title")]


def texts(chart: Chart) -> list[str]:
    return [text.text or "" for text in parsed(chart).iter("text")]


def place_of(chart: Chart, tip: str) -> tuple[float, float]:
    [mark] = [mark for mark in parsed(chart).iter() if any(title.text == tip for title in mark.findall("title"))]
    return float(mark.get("x", "nan")), float(mark.get("y", "nan"))


def line_of(chart: Chart) -> list[tuple[float, float]]:
    [path] = [path for path in parsed(chart).iter("path") if "stroke-width: 1.8" in path.get("style", "")]
    numbers = [float(number) for number in re.findall(r"[-\d.]+", path.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_a_line_runs_from_left_to_right_and_larger_is_higher() -> None:
    (x0, y0), (x1, y1) = line_of(line_chart("Loss", [0, 400], [0.0, 1.0]))
    assert x0 < x1
    assert y0 > y1


def test_a_share_is_drawn_on_an_axis_up_to_one() -> None:
    quarter, whole = (line_of(line_chart("Dice", [0, 1], [0.0, value], top=1.0)) for value in (0.25, 1.0))
    rise = [points[0][1] - points[1][1] for points in (quarter, whole)]
    assert rise[0] == pytest.approx(rise[1] / 4)


def test_a_chart_says_what_it_shows() -> None:
    chart = line_chart("Loss <of> $x$", [7, 33, 2925], [3.7, 0.2, -0.4])
    assert (chart.title, chart.note) == ("Loss <of> $x$", "-0.400 at the end")
    assert parsed(chart).get("aria-label") == "Loss <of> $x$, -0.400 at the end"
    assert {"0", "2,400"} <= set(texts(chart))


def test_a_line_of_one_point_can_be_drawn() -> None:
    assert "<use" in line_chart("Loss", [1], [0.0]).svg


def test_a_page_lends_its_colours_and_its_font_and_the_same_numbers_give_the_same_bytes() -> None:
    chart = line_chart("Loss", [0, 400], [0.0, 1.0])
    assert "var(--accent)" in chart.svg
    assert not re.search(r"#00000\d|font-family|font: |<metadata|<script", chart.svg)
    assert chart == line_chart("Loss", [0, 400], [0.0, 1.0])
    # Names that are referred to are in the chart, and no others are.
    named = set(re.findall(r'id="([^"]+)"', chart.svg))
    assert named == set(re.findall(r'href="#([^"]+)"', chart.svg))


def test_errors_are_drawn_over_sizes_about_their_bias() -> None:
    chart = bland_altman("Volume of RV", PAIRS, agreement([9.0, 4.0, 0.0]), unit="ml")
    assert chart.note == "bias +4.3 ml"
    assert {"p1_a: +9.0 ml", "p2_a: +4.0 ml", "p3_a: +0.0 ml", "bias +4.3"} < set(tips(chart))
    (x, high), (_, lower) = (place_of(chart, f"{name} ml") for name in ("p1_a: +9.0", "p2_a: +4.0"))
    assert high < lower
    assert x > place_of(chart, "p3_a: +0.0 ml")[0]


def test_two_errors_have_no_limits_of_agreement_to_draw() -> None:
    chart = bland_altman("Volume of RV", PAIRS[:1], agreement([9.0]), unit="ml")
    assert tips(chart) == ["bias +9.0", "p1_a: +9.0 ml"]


def test_a_reliability_diagram_has_a_bar_for_every_bin_with_voxels() -> None:
    table = np.zeros((3, 4))
    table[:, 1], table[:, 3] = (10, 4, 5), (30, 27, 15)
    diagram, histogram = reliability_charts(table, 0.3)
    said = ["confidence 40%, accuracy 50%: 25.0% of the voxels", "confidence 90%, accuracy 50%: 75.0% of the voxels"]
    assert tips(diagram) == tips(histogram) == said
    assert diagram.note == "expected calibration error 0.300"
    assert reliability_charts(np.zeros((3, 4)), None) == []


def test_every_dice_has_its_dot_along_an_axis_of_all_classes() -> None:
    chart = spread_chart([Spread("RV <b>", "#112233", [(0.9, "a"), (0.0, "b")]), Spread("LV", "#445566", [(0.9, "c")])])
    assert tips(chart) == ["a: 0.900", "b: 0.000", "c: 0.900"]
    assert place_of(chart, "a: 0.900")[0] == place_of(chart, "c: 0.900")[0] > place_of(chart, "b: 0.000")[0]
    assert place_of(chart, "a: 0.900")[1] < place_of(chart, "c: 0.900")[1]
    assert {"RV <b>", "LV", "Dice", "0", "1"} <= set(texts(chart))
    assert {"#112233", "#445566"} <= set(re.findall("#[0-9]{6}", chart.svg))


def test_classes_without_any_dice_can_be_drawn() -> None:
    assert tips(spread_chart([Spread("RV", "#112233", [])])) == []


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.62, 1.0), (0.0, 2925.0), (1.0, 1.0)])
def test_an_axis_holds_its_range_in_round_steps(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert all(len(f"{tick:.10g}") <= 5 for tick in ticks)


@pytest.mark.parametrize("low", [*np.linspace(0, 0.98, 15), 0.9999, 1.0])
def test_an_axis_of_shares_ends_at_one(low: float) -> None:
    ticks = _ticks_up_to_one(low)
    assert ticks[-1] == 1
    assert 0 <= ticks[0] <= low + 1e-12
    assert all(len(f"{tick:.10g}") <= 5 for tick in ticks)
