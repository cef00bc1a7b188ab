from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sss_model.checks import CHECKS, Subject
from sss_model.config import Config, load_config
from sss_model.manifest import Case, Manifest, build_manifest
from tests.scans import intensities, write_canonical, write_nifti

RECIPE = Path(__file__).parents[1] / "configs/phantom.yaml"


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """Three labelled training patients, one to validate on and two to test on."""
    folder = write_canonical(tmp_path / "heart", ("train", "train", "train", "val", "test", "test"))
    return Subject(build_manifest(folder), recipe(), folder)


def recipe(*, labelled: int | None = 2, min_labelled: int = 2, min_test: int = 2) -> Config:
    overrides = {
        "data.labelled": labelled,
        "validation.min_labelled_patients": min_labelled,
        "validation.min_test_patients": min_test,
    }
    return load_config(RECIPE, overrides)


def changed(subject: Subject, number: int, **facts: object) -> Subject:
    cases: list[Case] = list(subject.manifest.cases)
    cases[number] = replace(cases[number], **facts)
    return replace(subject, manifest=Manifest(tuple(cases), subject.manifest.labels))


def failures(subject: Subject) -> dict[str, list[str]]:
    """Of the checks that failed, by the name of their function."""
    found = {check.failures.__name__: check.failures(subject) for check in CHECKS}
    return {name: sentences for name, sentences in found.items() if sentences}


def test_a_sound_data_set_passes_every_check(subject):
    assert failures(subject) == {}
    assert len(CHECKS) == 10


def test_a_patient_on_two_sides_is_named_with_both(subject):
    found = failures(changed(subject, 0, split="test"))
    assert found["patients_on_two_sides"] == ["patient p0 is in test and train"]


def test_one_content_under_two_names_is_found(subject):
    twin = subject.manifest.cases[0].image_sha256
    found = failures(changed(subject, 11, image_sha256=twin))
    assert found["same_scan_twice"] == ["p0_a (train) and p5_b (test) are the same scan"]


def test_voxels_of_no_known_structure_are_counted(subject):
    found = failures(changed(subject, 3, voxels={"background": 40, "RV": 48, "MYO": 48, "LV": 48}))
    assert found == {"unknown_structures": ["case p1_b: 8 voxels of no known structure"]}


def without(subject: Subject, structure: str, numbers: tuple[int, ...]) -> Subject:
    for number in numbers:
        voxels = subject.manifest.cases[number].voxels
        voxels = voxels | {structure: 0, "background": voxels["background"] + voxels[structure]}
        subject = changed(subject, number, voxels=voxels)
    return subject


def test_a_structure_missing_from_the_labels_that_training_sees_is_found(subject):
    assert failures(without(subject, "RV", (0, 1, 2))) == {}
    found = failures(without(subject, "RV", (0, 1, 2, 3)))
    assert found == {"missing_in_labelled": ["RV: no voxel in the labelled training scans (4 with a label)"]}


def test_a_structure_missing_from_the_test_scans_is_found(subject):
    found = failures(without(subject, "LV", (8, 9, 10, 11)))
    assert found == {"missing_in_test": ["LV: no voxel in the test scans (4 with a label)"]}


@pytest.mark.parametrize(("settings", "asked"), [({"labelled": 4}, 4), ({"labelled": 1, "min_labelled": 5}, 5)])
def test_too_few_labelled_patients_are_named(subject, settings, asked):
    found = failures(replace(subject, config=recipe(**settings)))
    assert found == {
        "too_few_labelled": [f"3 training patients have labels (p0 and p1 and p2); the recipe asks for {asked}"]
    }


def test_a_data_set_without_any_labels_fails_and_does_not_crash(tmp_path):
    folder = write_canonical(tmp_path / "heart", ("train", "val", "test"), unlabelled=("p0", "p1", "p2"))
    found = failures(Subject(build_manifest(folder), recipe(labelled=None), folder))
    assert set(found) == {"too_few_labelled", "too_few_to_choose", "too_few_to_test", "missing_in_test"}
    assert found["too_few_to_choose"] == ["0 validation patients have labels; the recipe asks for 1"]


def test_too_few_test_patients_are_named(subject):
    found = failures(replace(subject, config=recipe(min_test=3)))
    assert found == {"too_few_to_test": ["2 test patients have labels (p4 and p5); the recipe asks for 3"]}


def test_a_spacing_far_outside_is_found_and_a_coarse_one_is_not(subject):
    assert failures(changed(subject, 0, spacing_mm=(1.0, 1.0, 4.0))) == {}
    found = failures(changed(subject, 0, spacing_mm=(8.0, 0.15, 0.15)))
    assert found == {"unusual_spacing": ["case p0_a: voxels of 0.15 × 0.15 × 8 mm where 1.5 × 1.5 × 8 mm is usual"]}


def test_the_order_of_axes_does_not_matter_to_spacing(subject):
    assert failures(changed(subject, 0, spacing_mm=(8.0, 1.5, 1.5))) == {}


def test_files_that_changed_or_went_are_found(subject):
    write_nifti(subject.data_dir / "imagesTr" / "p0_a_0000.nii.gz", intensities(99))
    (subject.data_dir / "labelsTr" / "p1_b.nii.gz").unlink()
    first, second = failures(subject)["files_changed"]
    assert first.startswith("case p0_a: ") and first.endswith("p0_a_0000.nii.gz changed since")
    assert second.startswith("case p1_b: ") and second.endswith("p1_b.nii.gz is missing")


def test_cases_that_came_and_splits_that_changed_are_found(subject):
    splits = subject.data_dir / "splits.csv"
    text = splits.read_text().replace("p3,g1,val,", "p3,g1,test,")
    splits.write_text(text + "p9_a,p9,g0,train,9\n")
    write_nifti(subject.data_dir / "imagesTr" / "p9_a_0000.nii.gz", intensities(99))
    assert failures(subject) == {
        "files_changed": [
            "case p9_a: in only one of folder and manifest",
            "case p3_a: its row in splits.csv changed",
            "case p3_b: its row in splits.csv changed",
        ]
    }


def test_a_folder_that_is_no_data_set_any_more_is_a_failure(subject):
    (subject.data_dir / "splits.csv").unlink()
    (sentence,) = failures(subject)["files_changed"]
    assert "splits.csv: no such file" in sentence
