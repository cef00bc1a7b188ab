"""The manifest of a data set, and its splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from support.scans import edit, intensities, structures, write_canonical, write_nifti

from sss_model.data.manifest import Manifest, build_manifest, check_content, cohort, read_manifest, write_manifest
from sss_model.data.splits import PatientSplit, listed_splits, seeded_splits
from sss_model.errors import InputError
from sss_model.files import sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_canonical(tmp_path / "heart")


def test_a_row_says_what_the_files_of_a_case_are(folder):
    affine = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image, label = folder / "imagesTr" / "p1_a_0000.nii.gz", folder / "labelsTr" / "p1_a.nii.gz"
    write_nifti(image, intensities(0, (5, 7, 3)), affine=affine, zooms=(1.4, 2.5, 9))
    write_nifti(label, np.arange(105).reshape(5, 7, 3).astype(np.uint8) // 52, affine=affine, zooms=(1.4, 2.5, 9))
    case = build_manifest(folder).cases[2]
    assert (case.case, case.patient, case.group, case.split, case.label_order) == ("p1_a", "p1", "g1", "train", 1)
    assert (case.image, case.label) == ("imagesTr/p1_a_0000.nii.gz", "labelsTr/p1_a.nii.gz")
    assert (case.image_sha256, case.label_sha256) == (sha256(image), sha256(label))
    assert (case.shape, case.spacing_mm, case.orientation, case.slices) == ((5, 7, 3), (1.4, 2.5, 9.0), "PLS", 3)
    assert (case.voxels, case.labelled) == ({"background": 52, "RV": 52, "MYO": 1, "LV": 0}, True)


def test_slices_are_counted_along_the_coarsest_axis(folder):
    path = folder / "imagesTr" / "p0_a_0000.nii.gz"
    write_nifti(path, intensities(0, (3, 7, 5)), zooms=(8, 1, 1))
    (folder / "labelsTr" / "p0_a.nii.gz").unlink()
    assert build_manifest(folder).cases[0].slices == 3


def test_what_is_written_is_what_is_read(tmp_path):
    manifest = build_manifest(write_canonical(tmp_path / "heart", unlabelled=("p1",)))
    write_manifest(manifest, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == manifest
    assert (manifest.cases[2].labelled, manifest.cases[2].label, manifest.cases[2].voxels) == (False, None, {})
    header, first, *_ = (tmp_path / "manifest.csv").read_text().splitlines()
    assert header.startswith("case,patient,group,split,label_order,labelled,image,label,image_sha256,label_sha256,")
    assert header.endswith(",shape,spacing_mm,orientation,slices,voxels_background,voxels_RV,voxels_MYO,voxels_LV")
    assert first.endswith(",8x6x4,1.5x1.5x8,LPS,4,48,48,48,48")


def test_the_same_data_set_gives_the_same_bytes(folder, tmp_path):
    for name in ("a.csv", "b.csv"):
        write_manifest(build_manifest(folder), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_label_value_that_dataset_json_does_not_know_is_refused(folder):
    write_nifti(folder / "labelsTr" / "p0_b.nii.gz", structures(0) * np.uint8(2))
    with pytest.raises(InputError, match=r"case p0_b: .*p0_b\.nii\.gz: 48 voxels are 4; expected 0 background, 1 RV"):
        build_manifest(folder)


def test_a_label_that_does_not_fit_its_image_is_refused(folder):
    write_nifti(folder / "labelsTr" / "p0_b.nii.gz", structures(0), zooms=(1.5, 1.5, 7))
    with pytest.raises(InputError, match=r"case p0_b: .*spacing \[1\.5, 1\.5, 7\.0\]; expected"):
        build_manifest(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",slices,", ",planes,", "no column slices"),
        ("8x6x4", "8x?x4", r"manifest\.csv, line 2: a value that can't be read"),
        (",true,", ",yes,", r"manifest\.csv, line 2: a value that can't be read"),
    ],
)
def test_a_broken_manifest_is_refused(folder, tmp_path, old, new, sentence):
    write_manifest(build_manifest(folder), tmp_path / "manifest.csv")
    edit(tmp_path / "manifest.csv", old, new)
    with pytest.raises(InputError, match=sentence):
        read_manifest(tmp_path / "manifest.csv")


def test_a_missing_or_empty_manifest_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="no such file; expected a manifest"):
        read_manifest(tmp_path / "manifest.csv")
    write_manifest(build_manifest(folder), tmp_path / "manifest.csv")
    header, *_ = (tmp_path / "manifest.csv").read_text().splitlines()
    (tmp_path / "manifest.csv").write_text(header)
    with pytest.raises(InputError, match="no cases; expected a manifest"):
        read_manifest(tmp_path / "manifest.csv")


def names(cases) -> list[str]:
    return [case.case for case in cases]


def test_the_first_patients_in_the_queue_lend_their_labels(tmp_path):
    folder = write_canonical(tmp_path / "heart")
    for patient, order, swapped in (("p0", 0, 2), ("p2", 2, 0)):
        for letter in "ab":
            edit(
                folder / "splits.csv",
                f"{patient}_{letter},{patient},g0,train,{order}",
                f"{patient}_{letter},{patient},g0,train,{swapped}",
            )
    shared = cohort(build_manifest(folder), 2)
    assert names(shared.labelled) == ["p1_a", "p1_b", "p2_a", "p2_b"]
    assert names(shared.unlabelled) == ["p0_a", "p0_b", "p1_a", "p1_b", "p2_a", "p2_b"]
    assert (names(shared.val), names(shared.test)) == (["p3_a", "p3_b"], ["p4_a", "p4_b"])


def test_patients_without_labels_do_not_count_as_labelled(tmp_path):
    manifest = build_manifest(write_canonical(tmp_path / "heart", unlabelled=("p0",)))
    assert names(cohort(manifest, 1).labelled) == ["p1_a", "p1_b"]
    assert names(cohort(manifest, None).labelled) == ["p1_a", "p1_b", "p2_a", "p2_b"]


def test_unlabelled_cases_are_images_alone(folder):
    hidden = cohort(build_manifest(folder), 1).unlabelled
    assert {(case.label, case.label_sha256, case.labelled, len(case.voxels)) for case in hidden} == {
        (None, None, False, 0)
    }


def test_hidden_labels_may_as_well_be_absent(folder):
    with_labels = cohort(build_manifest(folder), 2)
    for path in folder.glob("labelsTr/p2_*"):
        path.unlink()
    assert cohort(build_manifest(folder), 2) == with_labels


def test_test_cases_without_a_label_cannot_measure(folder):
    (folder / "labelsTs" / "p4_a.nii.gz").unlink()
    manifest = build_manifest(folder)
    assert names(cohort(manifest, 1).test) == ["p4_b"]
    assert names(manifest.split("test")) == ["p4_a", "p4_b"]


@pytest.mark.parametrize("labelled", [4, 100])
def test_asking_for_more_labelled_patients_than_there_are_is_refused(folder, labelled):
    with pytest.raises(InputError, match=rf"3 training patients have labels; expected at least {labelled} "):
        cohort(build_manifest(folder), labelled)


def test_a_training_set_without_labels_is_refused(tmp_path):
    manifest = build_manifest(write_canonical(tmp_path / "heart", unlabelled=("p0", "p1", "p2")))
    with pytest.raises(InputError, match="0 training patients have labels; expected at least 1 "):
        cohort(manifest, None)


def test_a_volume_is_only_read_and_never_changed(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    build_manifest(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert nib.load(folder / "imagesTr" / "p0_a_0000.nii.gz").shape == (8, 6, 4)


def test_a_label_that_changed_or_is_gone_is_refused_by_name(phantom: Path, manifest: Manifest) -> None:
    case, *_ = manifest.split("test")
    check_content([case], phantom)
    with pytest.raises(InputError, match=f"case {case.case}: .*{case.label} has other content"):
        check_content([replace(case, label_sha256="0" * 64)], phantom)
    with pytest.raises(InputError, match=f"case {case.case}: no file .*gone.nii"):
        check_content([replace(case, image=f"../{phantom.name}/{case.image}", label="gone.nii")], phantom)


GROUPS = {f"patient{number:03d}": ["DCM", "HCM", "MINF", "NOR", "RV"][number % 5] for number in range(1, 101)}


def by_split(places: dict[str, PatientSplit]) -> dict[str, list[str]]:
    ordered = sorted(places, key=lambda patient: (places[patient].label_order or 0, patient))
    return {split: [name for name in ordered if places[name].split == split] for split in ("train", "val", "test")}


def test_every_side_has_its_share_of_every_group():
    sides = by_split(seeded_splits(GROUPS, seed=0))
    assert {split: set(Counter(GROUPS[name] for name in names).values()) for split, names in sides.items()} == {
        "train": {14}, "val": {2}, "test": {4}
    }  # fmt: skip


def test_the_first_patients_in_the_queue_represent_every_group():
    places = seeded_splits(GROUPS, seed=3)
    queue = by_split(places)["train"]
    assert [places[patient].label_order for patient in queue] == list(range(70))
    assert {GROUPS[patient] for patient in queue[:5]} == set(GROUPS.values())
    assert set(Counter(GROUPS[patient] for patient in queue[:10]).values()) == {2}


def test_a_seed_gives_the_same_splits_in_any_order_and_another_seed_others():
    backwards = dict(reversed(GROUPS.items()))
    assert seeded_splits(GROUPS, seed=1) == seeded_splits(backwards, seed=1)
    assert seeded_splits(GROUPS, seed=1) != seeded_splits(GROUPS, seed=2)


def test_splits_are_the_same_on_every_machine():
    assert by_split(seeded_splits({name: "" for name in "abcdefghij"}, seed=0)) == {
        "train": list("jhbfacd"), "val": ["g"], "test": list("ei")
    }  # fmt: skip


@pytest.mark.parametrize("patients", [3, 4, 5, 8])
def test_few_patients_still_fill_every_side(patients):
    sides = by_split(seeded_splits({str(number): "" for number in range(patients)}, seed=0))
    assert all(sides.values())
    assert sum(map(len, sides.values())) == patients


def test_fewer_patients_than_sides_are_refused():
    with pytest.raises(InputError, match="2 labelled patients; expected at least 3"):
        seeded_splits({"a": "", "b": ""}, seed=0)


def lists(folder, prefix="", **changes):
    lines = {
        "train": "patient03_frame01\npatient03_frame02\npatient01_frame01\n",
        "val": "patient02_frame01\n",
        "test": "patient04_frame02\n",
        "train_slices": "patient03_frame01_slice_2\npatient03_frame01_slice_1\npatient01_frame02_slice_1\n",
    }
    for name, text in (lines | changes).items():
        (folder / f"{prefix}{name}.list").write_text(text)
    return folder


@pytest.mark.parametrize("prefix", ["", "ssl4mis_"])
def test_the_literatures_lists_give_sides_and_the_slices_the_queue(tmp_path, prefix):
    assert listed_splits(lists(tmp_path, prefix)) == {
        "patient03": PatientSplit("train", 0),
        "patient01": PatientSplit("train", 1),
        "patient02": PatientSplit("val"),
        "patient04": PatientSplit("test"),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"val": "patient04_frame01\n"}, "patient patient04 is in val and test"),
        ({"val": "subject 4\n"}, "val.list: a line that names no patient"),
        ({"val": ""}, "val.list: a line that names no patient"),
        ({"train_slices": "patient03_frame01_slice_2\n"}, "patient patient01 is in one of train.list"),
        ({"train_slices": "patient02_frame01_slice_2\n"}, "patient patient01 is in one of train.list"),
    ],
)
def test_lists_that_contradict_each_other_are_refused(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        listed_splits(lists(tmp_path, **changes))


def test_a_missing_list_is_refused(tmp_path):
    (lists(tmp_path) / "test.list").unlink()
    with pytest.raises(InputError, match=r"no test\.list; expected SSL4MIS's lists"):
        listed_splits(tmp_path)
