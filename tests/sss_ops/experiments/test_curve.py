"""`sss curve`: cells, trainings, a table and a drawing, none of them twice."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from sss_model.checkpoint import Checkpoint, load_checkpoint
from sss_model.config import Config, dump_config
from sss_model.errors import InputError
from sss_ops.cli import app
from sss_ops.experiments import cells
from sss_ops.experiments.curve import Method
from sss_ops.experiments.curve import curve as curve_command

Row = Callable[..., dict[str, Any]]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The recipes that were trained, in order."""
    trained: list[Config] = []
    train = cells.train

    def counted(config: Config, **settings: Any) -> None:
        trained.append(config)
        train(config, **settings)

    monkeypatch.setattr(cells, "train", counted)
    return trained


@pytest.fixture
def row(tmp_path: Path, phantom: Path, recipe: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> Row:
    monkeypatch.chdir(tmp_path)

    def of(*, fresh: bool = False, **changes: Any) -> dict[str, Any]:
        config = recipe({"train.steps": 2, **{key.replace("__", "."): value for key, value in changes.items()}})
        return cells.cell(
            config, cells.StudyData.open(phantom), split="val", results=tmp_path / "cells.jsonl", fresh=fresh
        )

    return of


def _checkpoint(row: dict[str, Any]) -> Checkpoint:
    return load_checkpoint(Path(".runs/cells") / row["identity"])


def test_other_looks_at_a_scan_take_over_the_weights(row: Row, trainings: list[Config]) -> None:
    first, other = row(predict__rotations=[]), row(predict__rotations=[20.0, 40.0])
    assert len(trainings) == 1
    assert first["identity"] != other["identity"]
    for name in ("steps", "minutes", "cpu_seconds", "machine", "revision"):
        assert first[name] == other[name] is not None
    assert (first["rotations"], other["rotations"]) == ([], [20.0, 40.0])
    before, after = _checkpoint(first), _checkpoint(other)
    assert all(torch.equal(weight, after.weights[name]) for name, weight in before.weights.items())
    assert after.config.predict.rotations == [20.0, 40.0]
    assert after.config.predict.rotations == [20.0, 40.0]


@pytest.mark.parametrize("changes", [{"seed": 1}, {"predict__orientations": 4}])
def test_what_training_asks_for_is_trained_for(changes: dict[str, Any], row: Row, trainings: list[Config]) -> None:
    row()
    row(**changes)
    assert len(trainings) == 2


def test_other_code_trains_anew(row: Row, trainings: list[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    row(predict__rotations=[])
    monkeypatch.setattr("sss_model.training.identity.code_sha256", lambda: "changed")
    row(predict__rotations=[20.0])
    assert len(trainings) == 2


def test_a_row_of_other_code_is_found_and_says_so(
    row: Row, trainings: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = row()
    assert first["code"] == "this" == row()["code"]
    monkeypatch.setattr("sss_model.training.identity.code_sha256", lambda: "changed")
    found = row()
    assert len(trainings) == 1
    assert found == first | {"code": f"other, {first['revision'][:9]}"}
    assert row(fresh=True)["code"] == "this" == row()["code"]
    assert len(trainings) == 2


def test_a_killed_training_costs_what_its_processes_did_together(tmp_path: Path) -> None:
    for expected in (2.0, 4.0):
        cost = cells._Cost(tmp_path / "cost.json")
        cost._began -= 2.0  # a process of two seconds
        cost.write()
        assert cells._cost_in(tmp_path / "cost.json")["cpu_seconds"] == pytest.approx(expected, abs=1)


def _of(method: str, seed: int, dice: float) -> dict[str, Any]:
    return {"labelled": 3, "method": method, "network": "sam2", "seed": seed, "dice": dice, "steps": 10}


def test_methods_are_compared_on_the_seeds_that_both_have() -> None:
    rows = [_of("plain", 0, 0.5), _of("plain", 1, 0.7), _of("new", 0, 0.6), _of("new", 1, 0.9), _of("new", 2, 0.1)]
    plain, new = cells.over_seeds(rows, baseline="plain")
    assert plain["dice"] == pytest.approx(0.6)
    assert plain["ahead"] is None
    assert (new["seeds"], new["dice"]) == (3, pytest.approx(1.6 / 3))
    assert new["ahead"] == pytest.approx(0.15)
    assert new["deviation of ahead"] == pytest.approx(0.05 * 2**0.5)


def test_other_columns_are_averaged_over_seeds() -> None:
    rows = [_of("new", seed, 0.6) | {"hd95_voxel": distance} for seed, distance in enumerate([1.0, 2.0])]
    [only] = cells.over_seeds(rows, baseline="plain", means=["hd95_voxel"])
    assert only["hd95_voxel"] == pytest.approx(1.5)


def test_one_seed_has_no_spread() -> None:
    [only] = cells.over_seeds([_of("new", 0, 0.6)], baseline="plain")
    assert (only["deviation"], only["ahead"], only["deviation of ahead"]) == (None, None, None)


def test_other_numbers_of_labelled_patients_are_no_baseline() -> None:
    rows = [_of("plain", 0, 0.5) | {"labelled": 7}, _of("new", 0, 0.6)]
    assert [row["ahead"] for row in cells.over_seeds(rows, baseline="plain")] == [None, None]


@pytest.fixture
def curve(
    tmp_path: Path, phantom: Path, recipe: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    quick = dump_config(recipe({"train.steps": 2}))
    Path("params.yaml").write_text(yaml.safe_dump(quick))

    def run(*arguments: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, ["curve", "--data-dir", str(phantom), *arguments])
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


def test_every_budget_and_method_is_a_point_and_nothing_is_trained_twice(curve: Callable[..., str]) -> None:
    both = ["--method", "supervised", "--method", "weak_to_strong"]
    said = curve("--labelled", "2", "--labelled", "1", *both)
    assert "curve/curve.svg" in said
    rows = list(csv.DictReader(Path("curve/curve.csv").read_text().splitlines()))
    assert [(row["method"], row["labelled"]) for row in rows] == [
        ("supervised", "1"), ("supervised", "2"), ("weak_to_strong", "1"), ("weak_to_strong", "2"),
    ]  # fmt: skip
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)
    assert Path("curve/curve.svg").read_text().count("LineCollection") >= 2  # a line a method has bars of its own

    cells = Path("curve/cells.jsonl").read_text()
    assert len(cells.splitlines()) == 4
    curve("--labelled", "2", "--labelled", "1", *both)
    assert Path("curve/cells.jsonl").read_text() == cells


def test_several_seeds_give_a_spread(curve: Callable[..., str]) -> None:
    before = time.process_time()
    curve("--labelled", "1", "--seeds", "2")
    spent = time.process_time() - before
    (row,) = csv.DictReader(Path("curve/curve.csv").read_text().splitlines())
    first, second = (json.loads(line) for line in Path("curve/cells.jsonl").read_text().splitlines())
    assert (first["seed"], second["seed"]) == (0, 1)
    assert first["cpu_seconds"] + second["cpu_seconds"] <= spent + 1  # each row tells of its own training alone
    assert float(row["dice"]) == pytest.approx((first["dice"] + second["dice"]) / 2)
    assert float(row["deviation"]) == pytest.approx(abs(first["dice"] - second["dice"]) / 2**0.5)


def test_more_labelled_patients_than_there_are_is_said_before_the_first_training(
    tmp_path: Path, phantom: Path, curve: Callable[..., str]
) -> None:
    output = tmp_path / "new"
    with pytest.raises(InputError, match=r"50"):
        curve_command(phantom, [1, 50], Path("params.yaml"), [Method.supervised], output=output)
    assert not output.exists()
