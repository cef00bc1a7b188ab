"""`sss suggest`: which scans to label next."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_ops.prediction.suggest import choose, find_candidates, rank_scans, suggest

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


@pytest.fixture
def data(tmp_path: Path, phantom: Path, manifest: Manifest) -> Path:
    """The cohort, in which only the patient that the checkpoint learned from has labels."""
    folder = shutil.copytree(phantom, tmp_path / "phantom")
    for case in manifest.split("train")[2:]:
        (folder / str(case.label)).unlink()
    return folder


def test_only_training_patients_without_a_label_are_candidates(
    checkpoint: Path, phantom: Path, data: Path, manifest: Manifest
) -> None:
    meta = load_checkpoint(checkpoint).meta
    training = {case.patient for case in manifest.split("train")}
    hidden = find_candidates(phantom, meta)
    assert hidden.hidden
    assert {each.patient for each in hidden.open} == training - set(meta.patients.labelled)
    assert {each.patient for each in hidden.labelled} == set(meta.patients.labelled)
    bare = find_candidates(data, meta)
    assert not bare.hidden
    assert {each.case for each in bare.open} <= {each.case for each in hidden.open}
    # A patient that chose the weights is not suggested, wherever a later split puts him.
    moved = meta.patients.model_copy(update={"validation": [hidden.open[0].patient]})
    assert hidden.open[0].patient not in {
        each.patient for each in find_candidates(phantom, meta.model_copy(update={"patients": moved})).open
    }


def test_suggestions_come_from_different_patients_with_reasons(checkpoint: Path, phantom: Path) -> None:
    found = rank_scans(load_checkpoint(checkpoint), phantom, count=5)
    patients = [row.patient for row in found.suggestions]
    assert len(set(patients)) == len(patients) >= 1
    assert [row.rank for row in found.suggestions] == list(range(1, len(patients) + 1))
    assert all(row.why and row.nearest and Path(row.image).is_file() for row in found.suggestions)


def test_a_scan_that_cannot_be_read_is_told_of_and_the_rest_is_ranked(checkpoint: Path, data: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    broken = find_candidates(data, loaded.meta).open[0]
    broken.image.write_bytes(b"no scan")
    found = rank_scans(loaded, data, count=5)
    assert [str(broken.image) in reason for reason in found.failed] == [True]
    assert broken.case not in {row.case for row in found.suggestions}


def test_the_command_writes_a_table(
    checkpoint: Path, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suggest(str(checkpoint), phantom, count=1, output=tmp_path / "next.csv")
    with (tmp_path / "next.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    told = capsys.readouterr().out
    assert row["case"] in told
    assert "whose labels training did not see" in told


def test_other_classes_are_refused(checkpoint: Path, phantom: Path) -> None:
    meta = load_checkpoint(checkpoint).meta.model_copy(update={"labels": {"background": 0, "liver": 1}})
    with pytest.raises(InputError, match="expected the checkpoint's"):
        find_candidates(phantom, meta)
