from __future__ import annotations

import csv
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scans import LABELS, write_canonical

from sss_model.checkpoint import Meta, load_checkpoint
from sss_model.errors import InputError
from sss_model.evaluate import check_evaluable, evaluate, evaluate_cases
from sss_model.manifest import Manifest, build_manifest
from sss_model.volumes import Volume, read_label


@pytest.fixture
def scans(tmp_path):
    """A small data set, and where to put what is made of it."""
    folder = write_canonical(tmp_path / "data")
    return build_manifest(folder), {
        "data_dir": folder,
        "predictions": tmp_path / "predictions",
        "overlays": tmp_path / "overlays",
    }


@pytest.fixture
def meta(checkpoint) -> Meta:
    return load_checkpoint(checkpoint).meta


def bright_is_first_class(image: Volume) -> Volume:
    """A predictor that needs no training."""
    return image.like((image.array > 500).astype(np.uint8))


def outputs(folder) -> dict:
    return {
        "output": folder / "evaluation",
        "predictions": folder / "predictions",
        "metrics": folder / "metrics.json",
    }


def with_patients(meta: Meta, **patients) -> Meta:
    return meta.model_copy(update={"patients": meta.patients.model_copy(update=patients)})


def test_every_case_and_class_is_scored(scans):
    manifest, where = scans
    cases = manifest.split("test")
    rows, _ = evaluate_cases(bright_is_first_class, cases, labels=LABELS, **where)
    assert [(row.case, row.class_name) for row in rows] == [
        (case.case, name) for case in cases for name in ("RV", "MYO", "LV")
    ]
    assert [row.status for row in rows[:3]] == ["scored", "missed", "missed"]


def test_predictions_lie_on_the_grid_of_their_images(scans):
    manifest, where = scans
    (case, *_) = manifest.split("test")
    evaluate_cases(bright_is_first_class, [case], labels=LABELS, **where)
    image = nib.load(where["data_dir"] / case.image)
    mask = nib.load(where["predictions"] / f"{case.case}.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(mask.affine, image.affine)
    assert mask.header.get_zooms() == image.header.get_zooms()
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(image.dataobj) > 500)


def test_a_predictor_that_knows_the_truth_scores_one(scans):
    manifest, where = scans
    (case, *_) = manifest.split("test")
    truth = read_label(where["data_dir"] / case.label, case.case)
    rows, _ = evaluate_cases(lambda image: image.like(truth.array), [case], labels=LABELS, **where)
    assert {(row.dice, row.hd95_mm, row.ssl4mis_dice) for row in rows} == {(1.0, 0.0, 1.0)}


def test_progress_is_plain_lines_in_a_log(scans, capsys):
    manifest, where = scans
    evaluate_cases(bright_is_first_class, manifest.split("test"), labels=LABELS, **where)
    assert capsys.readouterr().out == "evaluate: p4_a, 1 of 2\nevaluate: p4_b, 2 of 2\n"


def test_an_evaluation_leaves_tables_overlays_masks_and_a_report(tmp_path, checkpoint, phantom, manifest):
    summary = evaluate(checkpoint, data_dir=phantom, manifest=manifest, **outputs(tmp_path))
    cases = {case.case for case in manifest.split("test")}
    with (tmp_path / "evaluation" / "cases.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == cases
    assert {path.stem for path in (tmp_path / "evaluation" / "overlays").glob("*.png")} == cases
    assert {path.name for path in (tmp_path / "predictions").iterdir()} == {f"{case}.nii.gz" for case in cases}
    assert (tmp_path / "evaluation" / "per_class.csv").is_file()
    assert f"Dice {summary['dice']:.3f}" in (tmp_path / "evaluation" / "report.html").read_text()
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary
    assert (summary["split"], summary["cases"]) == ("test", len(cases))


def test_metrics_hold_nothing_that_differs_between_runs(tmp_path, checkpoint, phantom, manifest):
    for name in ("one", "two"):
        evaluate(checkpoint, data_dir=phantom, manifest=manifest, **outputs(tmp_path / name))
    one, two = ((tmp_path / name / "metrics.json").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_test_patients_that_training_saw_are_refused_by_name(meta, manifest, role):
    cases = manifest.split("test")
    seen = with_patients(meta, **{role: [cases[0].patient, "someone else"]})
    with pytest.raises(InputError, match=rf"saw {cases[0].patient} as {role} patients"):
        check_evaluable(seen, manifest.labels, cases, split="test")


def test_validation_patients_may_be_scored_as_validation_patients_only(meta, manifest):
    cases = manifest.split("val")
    check_evaluable(meta, manifest.labels, cases, split="val")
    with pytest.raises(InputError, match="as validation patients"):
        check_evaluable(meta, manifest.labels, cases, split="test")


def test_training_patients_are_refused_whatever_the_split(meta, manifest):
    with pytest.raises(InputError, match="as labelled patients"):
        check_evaluable(meta, manifest.labels, manifest.split("train"), split="val")


def test_a_checkpoint_of_other_classes_is_refused(meta, manifest):
    with pytest.raises(InputError, match=r"its classes are .*; expected the data's, .*liver"):
        check_evaluable(meta, {"background": 0, "liver": 1}, manifest.split("test"), split="test")


def test_a_case_without_a_label_is_refused_by_name(meta, manifest):
    first, *others = manifest.split("test")
    with pytest.raises(InputError, match=f"no label for {first.case};"):
        check_evaluable(meta, manifest.labels, [replace(first, label=None), *others], split="test")


def test_a_split_without_cases_is_refused(meta, manifest):
    with pytest.raises(InputError, match="split holdout: no cases"):
        check_evaluable(meta, manifest.labels, manifest.split("holdout"), split="holdout")


def test_a_refused_evaluation_writes_nothing(tmp_path, checkpoint, phantom, manifest):
    swapped = tuple(replace(case, split="test") for case in manifest.cases)
    with pytest.raises(InputError):
        evaluate(
            checkpoint, data_dir=phantom, manifest=Manifest(swapped, manifest.labels), **outputs(tmp_path / "refused")
        )
    assert not (tmp_path / "refused").exists()


def test_an_evaluation_that_breaks_off_leaves_no_earlier_figures(tmp_path, checkpoint, phantom, manifest):
    where = outputs(tmp_path)
    where["metrics"].write_text("{}")
    where["predictions"].write_text("a file where the folder should be")
    with pytest.raises(OSError):
        evaluate(checkpoint, data_dir=phantom, manifest=manifest, **where)
    assert not where["metrics"].exists()
