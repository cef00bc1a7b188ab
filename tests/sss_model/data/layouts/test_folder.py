"""Somebody's own data set: pairs, values and patients found out from names."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from support.samples import save, write_folder, write_pictures

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset, plan_import
from sss_model.data.layouts.folder import find_pairs, inventory
from sss_model.errors import InputError


@pytest.fixture
def volumes(tmp_path):
    return write_folder(tmp_path / "mine")


@pytest.fixture
def photographs(tmp_path):
    return write_pictures(tmp_path / "eyes")


def test_masks_of_255_become_class_1_on_the_same_grid(volumes, tmp_path):
    import_dataset("folder", volumes, tmp_path / "out", labels="tumour", patient="(.+)_")
    dataset = open_dataset(tmp_path / "out")
    assert dataset.labels == {"background": 0, "tumour": 1}
    (label,) = (nib.load(files.label) for files in dataset.cases if files.case == "p2_a")
    source = nib.load(volumes / "masks" / "p2_a_mask.nii.gz")
    assert np.array_equal(np.asarray(label.dataobj) * 255, np.asarray(source.dataobj))
    assert np.array_equal(label.affine, source.affine)


def test_patients_are_told_by_a_pattern_and_images_without_masks_are_unlabelled(volumes, tmp_path):
    import_dataset("folder", volumes, tmp_path / "out", patient="(.+)_")
    rows = open_dataset(tmp_path / "out").splits
    assert {row.patient for row in rows} == {"p1", "p2", "p3", "p4", "p5"}
    assert [row.split for row in rows if row.patient == "p5"] == ["train", "train"]


def test_patients_csv_tells_them_too_and_cases_are_patients_without_either(volumes):
    alone = inventory(volumes)
    assert "Every case counts as a patient of its own" in alone.notes[0]
    rows = [f"p{number}_{visit},p{number},left" for number in range(1, 6) for visit in "ab"]
    (volumes / "patients.csv").write_text("\n".join(["case,patient,group", *rows]))
    told = inventory(volumes)
    assert {(scan.patient, scan.group) for scan in told.scans} == {(f"p{number}", "left") for number in range(1, 6)}
    assert not any("of its own" in note for note in told.notes)


def test_a_dry_run_says_what_was_understood_and_writes_nothing(volumes, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    text = str(plan_import("folder", volumes, labels="tumour", patient="(.+)_"))
    assert "10 cases of 5 patients (3 train, 1 val, 1 test); nothing is written" in text
    assert "8 cases with a label, 2 without" in text
    assert "Labels: 0 background, 1 tumour" in text
    assert "p1_a.nii.gz" in text and "p1_a_mask.nii.gz" in text
    assert "255 becomes 1" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_images_and_masks_may_lie_side_by_side_as_colour_pictures(photographs, tmp_path):
    import_dataset("folder", photographs, tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert [files.case for files in dataset.cases] == [f"eye{number}" for number in range(1, 7)]
    assert dataset.labels == {"background": 0, "class1": 1, "class2": 2}
    assert '"R"' in (tmp_path / "out" / "dataset.json").read_text()


def test_grey_jpeg_pictures_become_grey_png(tmp_path):
    (tmp_path / "eyes" / "masks").mkdir(parents=True)
    (tmp_path / "eyes" / "images").mkdir()
    for number in range(4):
        Image.new("L", (16, 12), 50 * number).save(tmp_path / "eyes" / "images" / f"e{number}.JPG")
        mask = np.zeros((12, 16), np.uint8)
        mask[2:5] = 7
        Image.fromarray(mask).convert("RGB").save(tmp_path / "eyes" / "masks" / f"e{number}.bmp")
    summary = import_dataset("folder", tmp_path / "eyes", tmp_path / "out")
    with Image.open(next((tmp_path / "out").glob("images*/e2_0000.png"))) as picture:
        assert (picture.mode, picture.size, picture.getpixel((3, 3))) == ("L", (16, 12), 100)
    assert "4 JPEG pictures become PNG" in str(summary)
    assert "7 becomes 1" in str(summary)


def test_folders_of_sides_are_the_splits(tmp_path):
    for number, side in enumerate(("train", "train", "val", "test", "unlabelled")):
        scan = np.full((8, 6, 4), number, np.int16)
        save(tmp_path / "mine" / side / "images" / f"case{number}.nii.gz", scan, (1, 1, 4))
        if side != "unlabelled":
            save(tmp_path / "mine" / side / "labels" / f"case{number}.nii.gz", (scan * 0 + 1).astype("u1"), (1, 1, 4))
    import_dataset("folder", tmp_path / "mine", tmp_path / "out")
    rows = {row.case: row.split for row in open_dataset(tmp_path / "out").splits}
    assert rows == {"case0": "train", "case1": "train", "case2": "val", "case3": "test", "case4": "train"}


def test_a_zip_file_with_one_folder_above_is_looked_through(volumes, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path, "mine")
    assert len(plan_import("folder", tmp_path / archive).rows) == 10


def test_uncompressed_and_compressed_volumes_mix(volumes, tmp_path):
    image = nib.load(volumes / "images" / "p1_a.nii.gz")
    voxels = np.asarray(image.dataobj)
    nib.save(image, volumes / "images" / "p1_a.nii")
    (volumes / "images" / "p1_a.nii.gz").unlink()
    import_dataset("folder", volumes, tmp_path / "out")
    (copy,) = (tmp_path / "out").glob("images*/p1_a_0000.nii.gz")
    assert np.array_equal(np.asarray(nib.load(copy).dataobj), voxels)


def orphan(folder):
    save(folder / "masks" / "p9_a_mask.nii.gz", np.ones((4, 4, 4), np.uint8), (1, 1, 1))


def fractions(folder):
    save(folder / "masks" / "p1_a_mask.nii.gz", np.full((32, 32, 5), 0.5, np.float32), (1, 1, 4))


def a_scan(folder):
    shutil.copy(folder / "images" / "p1_a.nii.gz", folder / "masks" / "p1_a_mask.nii.gz")


def a_picture(folder):
    Image.new("L", (4, 4)).save(folder / "images" / "extra.png")


def two_masks(folder):
    shutil.copy(folder / "masks" / "p1_a_mask.nii.gz", folder / "masks" / "p1_a.nii.gz")


def two_folders(folder):
    (folder / "labels").mkdir()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (orphan, r"p9_a_mask\.nii\.gz: a mask without an image; expected an image called p9_a"),
        (fractions, r"p1_a_mask\.nii\.gz: a voxel is 0\.5; expected whole numbers"),
        (a_scan, r"p1_a_mask\.nii\.gz: \d+ values from .*; expected a mask"),
        (a_picture, r"extra\.png: a picture, while p1_a\.nii\.gz is a volume; expected one kind"),
        (two_masks, r"case p1_a also has the mask p1_a\.nii\.gz"),
        (two_folders, r"labels and masks could both be meant"),
    ],
)
def test_what_cannot_be_understood_is_told(volumes, damage, sentence):
    damage(volumes)
    with pytest.raises(InputError, match=sentence):
        inventory(volumes)


def test_other_folder_names_can_be_told(volumes):
    (volumes / "images").rename(volumes / "ct")
    (volumes / "masks").rename(volumes / "drawn")
    assert len(find_pairs(volumes, "ct", "drawn")) == 10
    with pytest.raises(InputError, match="no such folder; expected images or masks"):
        find_pairs(volumes, "ct", "draw")


def test_names_must_fit_the_values(volumes):
    with pytest.raises(InputError, match="labels: 2 names for the values 255; expected a name for each"):
        inventory(volumes, labels="tumour,oedema")
    with pytest.raises(InputError, match="expected different names, none of them background"):
        inventory(volumes, labels="background")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("(p", "no regular expression"), ("p1", "no group in brackets"), ("(x)", "doesn't match")],
)
def test_a_pattern_that_names_no_patient_is_refused(volumes, pattern, sentence):
    with pytest.raises(InputError, match=sentence):
        inventory(volumes, patient=pattern)


def test_a_jpeg_mask_and_an_empty_folder_are_refused(photographs, tmp_path):
    Image.open(photographs / "eye1_mask.png").save(photographs / "eye1_mask.jpg")
    (photographs / "eye1_mask.png").unlink()
    with pytest.raises(InputError, match=r"eye1_mask\.jpg: a JPEG mask, whose values are blurred"):
        inventory(photographs)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no images; expected folders images and masks"):
        inventory(tmp_path / "empty")


def test_a_mask_on_another_grid_names_the_source_file(volumes, tmp_path):
    save(volumes / "masks" / "p1_a_mask.nii.gz", np.full((32, 32, 5), 255, np.uint8), (1, 1, 5))
    with pytest.raises(InputError, match=r"case p1_a: .*masks/p1_a_mask\.nii\.gz: spacing .* its image .*images/p1_a"):
        import_dataset("folder", volumes, tmp_path / "out")
    assert not (tmp_path / "out").exists()
