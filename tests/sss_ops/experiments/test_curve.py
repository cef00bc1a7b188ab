"""``sss curve`` as its user has it: several trainings, a table, a drawing, and none of them twice."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sss_model.config import Config, dump_config
from sss_model.errors import InputError
from sss_ops.cli import app
from sss_ops.experiments.curve import Method
from sss_ops.experiments.curve import curve as curve_command


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
