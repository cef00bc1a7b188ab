from __future__ import annotations

import csv
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from support.scans import LABELS, write_canonical

from sss_model.config import Evaluation
from sss_model.data.manifest import Manifest, build_manifest
from sss_model.errors import InputError
from sss_model.evaluation.evaluate import evaluate, evaluate_cases
from sss_model.evaluation.summary import main_figures
from sss_model.files import sha256
from sss_model.inference.predictor import Segmentation
from sss_model.io.volumes import Volume, read_label


@pytest.fixture
def scans(tmp_path):
    """A small data set, and where to put what is made of it."""
    folder = write_canonical(tmp_path / "data")
    return build_manifest(folder), {
        "data_dir": folder,
        "predictions": tmp_path / "predictions",
        "overlays": tmp_path / "overlays",
        "settings": Evaluation(),
    }


def certain(mask: Volume) -> Segmentation:
    return Segmentation(mask, np.ones(mask.array.shape, np.float32))


def bright_is_first_class(image: Volume) -> Segmentation:
    """A predictor that needs no training."""
    return certain(image.like((image.array > 500).astype(np.uint8)))


def outputs(folder) -> dict:
    return {
        "output": folder / "evaluation",
        "predictions": folder / "predictions",
        "metrics": folder / "metrics.json",
    }


def test_every_case_and_class_is_scored(scans):
    manifest, where = scans
    cases = manifest.split("test")
    rows = evaluate_cases(bright_is_first_class, cases, labels=LABELS, **where).scores
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
    rows = evaluate_cases(lambda image: certain(image.like(truth.array)), [case], labels=LABELS, **where).scores
    assert {(row.dice, row.hd95_mm, row.ssl4mis_dice) for row in rows} == {(1.0, 0.0, 1.0)}


def test_progress_is_plain_lines_in_a_log(scans, capsys):
    manifest, where = scans
    evaluate_cases(bright_is_first_class, manifest.split("test"), labels=LABELS, **where)
    assert capsys.readouterr().out == "evaluate: 1 of 2, p4_a\nevaluate: 2 of 2, p4_b\n"


def test_an_evaluation_leaves_tables_overlays_masks_and_a_report(tmp_path, checkpoint, phantom, manifest):
    summary = evaluate(checkpoint, data_dir=phantom, manifest=manifest, **outputs(tmp_path))
    cases = {case.case for case in manifest.split("test")}
    with (tmp_path / "evaluation" / "cases.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == cases
    assert {path.stem for path in (tmp_path / "evaluation" / "overlays").glob("*.png")} == cases
    assert {path.name for path in (tmp_path / "predictions").iterdir()} == {f"{case}.nii.gz" for case in cases}
    assert (tmp_path / "evaluation" / "per_class.csv").is_file()
    assert f"Dice {summary['dice']:.3f}" in (tmp_path / "evaluation" / "report.html").read_text()
    assert json.loads((tmp_path / "evaluation/summary.json").read_text()) == summary
    assert json.loads((tmp_path / "metrics.json").read_text()) == main_figures(summary)
    assert (summary["split"], summary["cases"]) == ("test", len(cases))


def test_the_record_holds_nothing_that_differs_between_runs(tmp_path, checkpoint, phantom, manifest):
    for name in ("one", "two"):
        evaluate(checkpoint, data_dir=phantom, manifest=manifest, **outputs(tmp_path / name))
    for file in ("metrics.json", "evaluation/summary.json"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two


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


def test_a_scan_that_changed_since_the_manifest_is_refused(tmp_path, checkpoint, phantom, manifest):
    changed = tuple(replace(case, image_sha256="0" * 64) for case in manifest.cases)
    with pytest.raises(InputError, match=r"case phantom\S+: .*_0000\.nii has other content than the manifest says"):
        evaluate(checkpoint, data_dir=phantom, manifest=Manifest(changed, manifest.labels), **outputs(tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_metrics_say_how_sure_they_are_and_what_they_were_made_from(tmp_path, checkpoint, phantom, manifest):
    settings = Evaluation(tolerance_mm=3.0, band_mm=7.5, ejection_class="cavity")
    summary = evaluate(checkpoint, data_dir=phantom, manifest=manifest, settings=settings, **outputs(tmp_path))
    assert summary["tolerance_mm"] == 3.0
    assert 0 < summary["calibration"]["expected_calibration_error"] < 1
    assert summary["calibration"]["region"] == "voxels within 7.5 mm of a structure in label or prediction"
    assert summary["leak_check"] == "patients and images"
    assert summary["ejection"]["class"] == "cavity"
    assert summary["ejection"]["patients"] == len({case.patient for case in manifest.split("test")})
    assert (tmp_path / "evaluation/ejection.csv").read_text().startswith("patient,group,end_diastole,end_systole,")
    assert summary["provenance"]["weights_sha256"] == sha256(checkpoint / "weights.pt")
    assert summary["provenance"]["cases_sha256"] == sha256(tmp_path / "evaluation/cases.csv")


def test_a_cavity_that_the_data_do_not_have_is_left_out(tmp_path, checkpoint, phantom, manifest):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/ejection.csv").write_text("of an earlier evaluation")
    summary = evaluate(
        checkpoint, data_dir=phantom, manifest=manifest, settings=Evaluation(ejection_class="LV"), **outputs(tmp_path)
    )
    assert "ejection" not in summary
    assert not (tmp_path / "evaluation/ejection.csv").exists()
