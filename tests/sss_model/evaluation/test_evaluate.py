"""Evaluation of a checkpoint, also with prompts from labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from support.scans import LABELS, write_canonical

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Evaluation
from sss_model.data.manifest import Manifest, build_manifest
from sss_model.errors import InputError
from sss_model.evaluation.evaluate import evaluate, evaluate_cases
from sss_model.evaluation.oracle import box_prompts, oracle_scores
from sss_model.evaluation.summary import main_figures
from sss_model.files import sha256
from sss_model.inference.predictor import Predictor, Segmentation
from sss_model.io.volumes import Volume, read_label, read_volume
from sss_model.network.prompts import BOX_CORNER, BOX_OPPOSITE, POINT_INSIDE


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


def drawn() -> np.ndarray:
    """Five slices with an L of class 1; class 2 on the first alone."""
    labels = np.zeros((5, 32, 32), np.uint8)
    labels[:, 8:20, 4] = labels[:, 19, 4:12] = 1
    labels[0, 28:30, 28:32] = 2
    return labels


def test_a_box_is_tight_in_sams_frame_and_says_no_more_than_itself() -> None:
    prompts = box_prompts(drawn(), foreground=2, every=1)
    assert prompts.points[0, 0, 0].tolist() == [[7.5, 13.5], [3.5, 7.5], [11.5, 19.5]]
    assert prompts.labels[0, 0, 0].tolist() == [POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE]
    inside = prompts.masks[0, 0, 0]
    assert (inside[2:5, 1:3] == 1).all()
    assert inside.sum() == 6  # all of the box, though the structure is an L


@pytest.mark.parametrize(("every", "slices"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (4, [0, 4]), (9, [0])])
def test_every_so_many_slices_are_prompted(every: int, slices: list[int]) -> None:
    used = box_prompts(drawn(), foreground=2, every=every).used[:, :, 0]
    assert used[:, 0].nonzero()[:, 0].tolist() == slices
    assert used[:, 1].nonzero()[:, 0].tolist() == [0]


@pytest.fixture(scope="module")
def prompted(train_phantom: Callable[..., Path]) -> Path:
    """A checkpoint of method sss; not to be changed."""
    return train_phantom({"train.method": "sss", "train.steps": 2})


def test_every_row_says_oracle(prompted: Path, phantom: Path, manifest: Manifest) -> None:
    scores = oracle_scores(prompted, data_dir=phantom, manifest=manifest, every=2)
    assert {score.prompt_source for score in scores} == {"oracle"}
    assert {score.case for score in scores} == {case.case for case in manifest.split("test")}


def test_the_prompts_reach_the_memory_decoder(prompted: Path, phantom: Path, manifest: Manifest) -> None:
    predictor = Predictor(load_checkpoint(prompted))
    network = predictor._network
    with torch.no_grad():
        network.gate.fill_(20.0)
        network.memory.sam_mask_decoder.conv_s0.bias.add_(0.1)
    volume = read_volume(phantom / manifest.split("test")[0].image)
    size = predictor.checkpoint.config.data.size
    labels = np.zeros((volume.array.shape[volume.slice_axis], size, size), np.uint8)
    labels[:, 10:50, 10:50] = 1
    classes = len(manifest.labels) - 1
    with_box = predictor.segment_prompted(volume, box_prompts(labels, foreground=classes, every=1))
    without = predictor.segment_prompted(volume, box_prompts(0 * labels, foreground=classes, every=1))
    assert not np.array_equal(with_box.confidence, without.confidence)
    assert with_box.mask.array.shape == volume.array.shape


def test_a_method_without_prompts_refuses_them(checkpoint: Path, phantom: Path, manifest: Manifest) -> None:
    with pytest.raises(InputError, match="method weak_to_strong takes no prompt; expected sss"):
        oracle_scores(checkpoint, data_dir=phantom, manifest=manifest, every=2)
