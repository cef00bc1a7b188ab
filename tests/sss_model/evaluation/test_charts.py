from __future__ import annotations

import numpy as np
import pytest

from sss_model.evaluation.charts import HEIGHT, WIDTH, Axis, curve, reliability


def points(drawn) -> list[tuple[float, float]]:
    return [tuple(map(float, point.split(","))) for point in drawn.points.split()]


def test_a_curve_runs_from_left_to_right_and_larger_is_higher():
    (x0, y0), (x1, y1) = points(curve("Loss", [0, 400], [0.0, 1.0]))
    assert (x0, y0) == (0, HEIGHT)
    assert (x1, y1) == (WIDTH, 0)


def test_all_of_a_curve_lies_on_its_grid():
    drawn = curve("Loss", [7, 33, 2925], [3.7, 0.2, -0.4])
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(drawn))
    assert [tick.at for tick in drawn.x_ticks][:: len(drawn.x_ticks) - 1] == [0, WIDTH]
    assert [tick.at for tick in drawn.y_ticks][:: len(drawn.y_ticks) - 1] == [HEIGHT, 0]
    assert drawn.last == "-0.400"


def test_a_share_is_drawn_on_an_axis_up_to_one():
    assert points(curve("Dice", [0, 1], [0.0, 0.25], top=1.0))[-1] == (WIDTH, 0.75 * HEIGHT)


def test_a_curve_of_one_point_can_be_drawn():
    assert len(points(curve("Loss", [1], [0.0]))) == 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.62, 1.0), (0.0, 2925.0), (1.0, 1.0)])
def test_an_axis_holds_its_range_in_round_steps(low, high):
    axis = Axis.holding(low, high)
    assert axis.ticks[0] <= low <= high <= axis.ticks[-1]
    assert all(len(tick.text.replace(",", "")) <= 5 for tick in axis.grid(0, 100))


@pytest.mark.parametrize("low", [*np.linspace(0, 0.98, 15), 0.9999, 1.0])
def test_an_axis_of_shares_ends_at_one(low):
    axis = Axis.up_to_one(low)
    assert axis.ticks[-1] == 1
    assert 0 <= axis.ticks[0] <= low + 1e-12
    assert all(len(tick.text) <= 5 for tick in axis.grid(0, 100))


def test_a_reliability_diagram_has_a_bar_for_every_bin_with_voxels():
    table = np.zeros((3, 4))
    table[:, 1], table[:, 3] = (10, 4, 5), (30, 27, 15)
    drawn = reliability(table)
    assert [(bar.x, bar.share) for bar in drawn.bars] == [(WIDTH / 4, 0.25), (3 * WIDTH / 4, 0.75)]
    assert [bar.height for bar in drawn.bars] == [0.5 * HEIGHT, 0.5 * HEIGHT]
    assert [bar.y + bar.height for bar in drawn.bars] == [HEIGHT, HEIGHT]
    assert drawn.bars[1].text == "90% sure, 50% right: 75.0% of the voxels"
    assert reliability(np.zeros((3, 4))) is None
