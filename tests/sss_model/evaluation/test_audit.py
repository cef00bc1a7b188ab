"""Leaks that an evaluation refuses, and changes that an audit finds."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sss_model.checkpoint import Images, Meta, load_checkpoint
from sss_model.config import Evaluation
from sss_model.data.manifest import write_manifest
from sss_model.errors import InputError
from sss_model.evaluation.audit import audit
from sss_model.evaluation.evaluate import evaluate
from sss_model.evaluation.leaks import check_evaluable, leak_check
from sss_model.files import sha256


@pytest.fixture
def meta(checkpoint) -> Meta:
    return load_checkpoint(checkpoint).meta


def with_patients(meta: Meta, **patients) -> Meta:
    return meta.model_copy(update={"patients": meta.patients.model_copy(update=patients)})


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


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_an_image_that_training_saw_is_refused_under_any_name(meta, manifest, role):
    first, *others = manifest.split("test")
    seen = meta.images.model_copy(update={role: [first.image_sha256]})
    renamed = replace(first, case="somebody", patient="somebody new")
    with pytest.raises(InputError, match=rf"saw the images of somebody, under whatever names, as {role} images"):
        check_evaluable(meta.model_copy(update={"images": seen}), manifest.labels, [renamed, *others], split="test")


def test_a_checkpoint_knows_the_images_that_it_saw_and_no_others(meta, manifest):
    of = {split: {case.image_sha256 for case in manifest.split(split)} for split in ("train", "val", "test")}
    assert set(meta.images.unlabelled) == of["train"]
    assert set(meta.images.labelled) < of["train"]
    assert set(meta.images.validation) == of["val"]


def test_validation_images_may_be_scored_as_validation_images_only(meta, manifest):
    strangers = [replace(case, patient=f"new {case.patient}") for case in manifest.split("val")]
    check_evaluable(meta, manifest.labels, strangers, split="val")
    with pytest.raises(InputError, match="as validation images"):
        check_evaluable(meta, manifest.labels, strangers, split="test")


def test_an_older_checkpoint_is_matched_by_patient_and_says_so(meta, manifest):
    older = meta.model_copy(update={"images": None})
    check_evaluable(older, manifest.labels, manifest.split("test"), split="test")
    assert leak_check(older) == "patients alone: the checkpoint holds no hashes of images"
    assert leak_check(older.model_copy(update={"images": Images(labelled=[], unlabelled=[], validation=[])})) == (
        "patients and images"
    )
    with pytest.raises(InputError, match="as labelled patients"):
        check_evaluable(older, manifest.labels, manifest.split("train"), split="test")


SUMMARY = "evaluation/summary.json"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, checkpoint, phantom, manifest) -> Path:
    """A folder as a run leaves it; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(checkpoint, folder / "checkpoint")
    write_manifest(manifest, folder / "manifest.csv")
    record = {"name": "phantom", "version": "0" * 32, "manifest_sha256": sha256(folder / "manifest.csv")}
    (folder / "data_version.json").write_text(json.dumps(record))
    evaluate(
        folder / "checkpoint",
        data_dir=phantom,
        manifest=manifest,
        output=folder / "evaluation",
        predictions=folder / "predictions",
        metrics=folder / "metrics.json",
        settings=Evaluation(ejection_class="cavity"),
    )
    return folder


@pytest.fixture
def run(evaluated, tmp_path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def change_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def repair_hashes(run: Path, *names: str) -> None:
    """What a forger does who knows of the record: writes the new hashes into it."""

    def repair(record: dict[str, Any]) -> None:
        record["files"].update({name: sha256(run / name) for name in names})

    change_json(run / "evaluation/provenance.json", repair)


def improve(run: Path) -> None:
    """Raise one Dice in cases.csv."""
    path = run / "evaluation/cases.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["dice"] = "0.99"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_a_run_that_nobody_touched_is_proven(evaluated, manifest):
    found = audit(evaluated)
    assert found.findings == []
    facts = dict(found.facts)
    assert facts["weights"] == sha256(evaluated / "checkpoint/weights.pt")
    assert facts["provenance"] == sha256(evaluated / "evaluation/provenance.json")
    patients = sorted({case.patient for case in manifest.split("test")})
    assert facts["scored"] == f"{len(patients)} test patients: {', '.join(patients)}"
    assert facts["saw as validation"].endswith(", ".join(sorted({case.patient for case in manifest.split("val")})))
    assert facts["selection"].startswith("step ")


def every_file(run: Path) -> list[str]:
    return list(json.loads((run / "evaluation/provenance.json").read_text())["files"])


def test_a_byte_more_in_any_file_is_found_and_named(evaluated, run):
    files = every_file(run)
    assert {name.split("/")[0] for name in files} == {"checkpoint", "evaluation", "predictions", "metrics.json"}
    for name in files:
        shutil.copyfile(evaluated / name, run / name)
        with (run / name).open("ab") as file:
            file.write(b"\n")
        assert any(finding.startswith(f"{name}: changed, SHA-256 ") for finding in audit(run).findings), name
        shutil.copyfile(evaluated / name, run / name)
    assert audit(run).findings == []


def test_any_file_that_is_gone_is_found_and_named(evaluated, run):
    for name in every_file(run):
        (run / name).unlink()
        assert any(finding.startswith(f"{name}: missing") for finding in audit(run).findings), name
        shutil.copyfile(evaluated / name, run / name)


def test_a_mask_too_many_is_found(run):
    (run / "predictions/more.nii.gz").write_bytes(b"")
    assert audit(run).findings == ["predictions/more.nii.gz: the evaluation left no such file; expected none"]


def test_better_means_are_found_though_their_hash_was_repaired(run):
    change_json(run / SUMMARY, lambda summary: summary.update(dice=0.95))
    repair_hashes(run, SUMMARY)
    (finding,) = audit(run).findings
    assert finding.startswith(f"{SUMMARY}: dice is 0.95; expected 0.")
    assert finding.endswith("computed again from cases.csv")


@pytest.mark.parametrize("change", [{"dice": 0.95}, {"dice_wall": 0.95}, {"cases": 20}, {"jaccard": 0.9}])
def test_better_main_figures_are_found_though_their_hash_was_repaired(run, change):
    change_json(run / "metrics.json", lambda figures: figures.update(change))
    repair_hashes(run, "metrics.json")
    ((key, value),) = change.items()
    (finding,) = audit(run).findings
    assert finding.startswith(f"metrics.json: {key} is {value}; expected ")


@pytest.mark.parametrize("key", ["intervals", "counts", "groups", "volumes_ml", "ssl4mis", "ejection", "rules"])
def test_every_part_of_the_summary_is_computed_again(run, key):
    change_json(run / SUMMARY, lambda summary: summary.update({key: {"forged": 1}}))
    repair_hashes(run, SUMMARY)
    assert any(finding.startswith(f"{SUMMARY}: {key}") for finding in audit(run).findings)


def test_better_rows_are_found_though_their_hash_was_repaired(run):
    improve(run)
    repair_hashes(run, "evaluation/cases.csv")
    findings = audit(run).findings
    assert f"{SUMMARY}: its section provenance differs from provenance.json; expected the same hashes" in findings
    assert any(finding.startswith(f"{SUMMARY}: dice is ") for finding in findings)


def test_another_mask_is_found_though_its_hash_was_repaired(run):
    mask = next((run / "predictions").iterdir())
    mask.write_bytes(b"another")
    repair_hashes(run, f"predictions/{mask.name}")
    assert audit(run).findings == [
        f"{SUMMARY}: its section provenance differs from provenance.json; expected the same hashes"
    ]


def test_a_calibration_that_was_changed_is_found(run):
    change_json(run / SUMMARY, lambda summary: summary["calibration"].update(expected_calibration_error=0.001))
    repair_hashes(run, SUMMARY)
    assert any("computed again from calibration.csv" in finding for finding in audit(run).findings)


def test_a_test_patient_among_the_seen_is_found(run, manifest):
    case = manifest.split("test")[0]
    change_json(run / "checkpoint/meta.json", lambda meta: meta["patients"]["unlabelled"].append(case.patient))
    repair_hashes(run, "checkpoint/meta.json")
    assert any(f"saw {case.patient} as unlabelled patients" in finding for finding in audit(run).findings)


def test_a_test_image_among_the_seen_is_found(run, manifest):
    case = manifest.split("test")[0]
    change_json(run / "checkpoint/meta.json", lambda meta: meta["images"]["validation"].append(case.image_sha256))
    repair_hashes(run, "checkpoint/meta.json")
    assert any(f"saw the images of {case.case}" in finding for finding in audit(run).findings)


def test_rows_left_out_are_found(run, manifest):
    path = run / "evaluation/cases.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    case = sorted(case.case for case in manifest.split("test"))[-1]
    assert any(f"no row of crescent of {case}" in finding for finding in audit(run).findings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda meta: meta.update(val_dice=0.99), "with a validation Dice of 0.99 is not in history.csv"),
        (lambda meta: meta.update(best_step=3), "step 3 with a validation Dice of"),
        (lambda meta: meta.update(data_version="1" * 32), "data version 0{32}; expected the checkpoint's, 1{32}"),
        (lambda meta: meta.pop("patients"), "patients field required"),
    ],
)
def test_a_checkpoint_that_says_something_else_is_found(run, change, sentence):
    change_json(run / "checkpoint/meta.json", change)
    repair_hashes(run, "checkpoint/meta.json")
    assert any(re.search(sentence, finding) for finding in audit(run).findings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("split", "val"),
        ("patients", ["somebody"]),
        ("leak_check", "images"),
        ("manifest_sha256", "0" * 64),
        ("data_version", "another"),
        ("settings", {"tolerance_mm": 9.0, "ejection_class": "cavity"}),
        ("settings", {"ejection_class": "wall"}),
        ("files", {}),
    ],
)
def test_a_record_that_says_something_else_is_found(run, key, value):
    change_json(run / "evaluation/provenance.json", lambda record: record.update({key: value}))
    assert audit(run).findings


def test_another_manifest_is_found(run):
    path = run / "manifest.csv"
    path.write_text(path.read_text().replace("normal", "thick", 1))
    assert any(finding.startswith("manifest.csv: changed") for finding in audit(run).findings)


def test_another_version_record_is_found(run):
    path = run / "data_version.json"
    change_json(path, lambda record: record.update(manifest_sha256="0" * 64))
    assert audit(run).findings == ["data_version.json: of another manifest; expected the SHA-256 of manifest.csv"]
    manifest = sha256(run / "manifest.csv")
    change_json(run / "checkpoint/meta.json", lambda meta: meta.update(manifest_sha256=manifest))
    repair_hashes(run, "checkpoint/meta.json")
    change_json(path, lambda record: record.update(manifest_sha256=manifest, version="another"))
    assert [finding.split(";")[0] for finding in audit(run).findings] == ["data_version.json: version another"]


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"provenance\.json: no such file; expected what sss evaluate leaves"):
        audit(tmp_path)
