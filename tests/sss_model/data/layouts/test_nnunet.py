from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from support.samples import write_decathlon
from support.scans import edit, intensities, structures, write_canonical, write_nifti

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.nnunet import inventory
from sss_model.errors import InputError


@pytest.fixture
def source(tmp_path):
    """A raw nnU-Net set: six patients, two cases each, all in imagesTr."""
    folder = write_canonical(tmp_path / "raw", ("train",) * 6)
    (folder / "splits.csv").unlink()
    return folder


def sides(folder) -> dict[str, str]:
    return {row.case: row.split for row in open_dataset(folder).splits}


def test_without_other_knowledge_a_case_is_its_own_patient(source, tmp_path):
    import_dataset("nnunet", source, tmp_path / "heart")
    splits = open_dataset(tmp_path / "heart").splits
    assert [row.patient for row in splits] == [row.case for row in splits]
    assert {row.split for row in splits} == {"train", "val", "test"}


def test_patients_csv_keeps_the_cases_of_a_patient_together(source, tmp_path):
    rows = [f"p{number}_{letter},p{number},g{number % 2}" for number in range(6) for letter in "ab"]
    (source / "patients.csv").write_text("\n".join(["case,patient,group", *rows]))
    import_dataset("nnunet", source, tmp_path / "heart", seed=4)
    splits = open_dataset(tmp_path / "heart").splits
    assert [row.group for row in splits][:3] == ["g0", "g0", "g1"]
    assert len({(row.patient, row.split) for row in splits}) == 6


def test_a_case_that_patients_csv_lacks_is_refused(source):
    (source / "patients.csv").write_text("case,patient\np0_a,p0\n")
    with pytest.raises(InputError, match=r"case p0_b is not in patients\.csv"):
        inventory(source)
    (source / "patients.csv").write_text("scan;subject\np0_a;p0\n")
    with pytest.raises(InputError, match=r"patients\.csv: no column case; expected a CSV file of case,patient,group"):
        inventory(source)


def test_a_source_that_is_canonical_keeps_its_splits(tmp_path):
    source = write_canonical(tmp_path / "raw")
    import_dataset("nnunet", source, tmp_path / "heart")
    assert (tmp_path / "heart" / "splits.csv").read_text() == (source / "splits.csv").read_text()


def test_labelled_test_images_stay_the_test_set(source, tmp_path):
    edit(write_canonical(tmp_path / "other", ("test",)) / "dataset.json", "MRI", "CT")
    for part in ("imagesTs", "labelsTs"):
        (tmp_path / "other" / part).rename(source / part)
    for path in source.glob("*Tr/p0_*"):
        path.unlink()
    import_dataset("nnunet", source, tmp_path / "heart")
    found = sides(tmp_path / "heart")
    assert [case for case, split in found.items() if split == "test"] == ["p0_a", "p0_b"]
    assert set(found.values()) == {"train", "val", "test"}


def test_unlabelled_images_go_to_training_and_unlabelled_test_images_nowhere(source, tmp_path):
    (source / "labelsTr" / "p0_a.nii.gz").unlink()
    (source / "imagesTs").mkdir()
    (source / "imagesTr" / "p1_a_0000.nii.gz").rename(source / "imagesTs" / "p1_a_0000.nii.gz")
    (source / "labelsTr" / "p1_a.nii.gz").unlink()
    import_dataset("nnunet", source, tmp_path / "heart")
    rows = {row.case: row for row in open_dataset(tmp_path / "heart").splits}
    assert (rows["p0_a"].split, rows["p0_a"].label_order) == ("train", None)
    assert "p1_a" not in rows


def test_one_folder_above_is_looked_through(source, tmp_path):
    assert len(inventory(tmp_path).scans) == 12


def test_pictures_are_imported_as_pictures(tmp_path):
    source = write_canonical(tmp_path / "raw", ())
    edit(source / "dataset.json", ".nii.gz", ".png")
    for part in ("imagesTr", "labelsTr"):
        (source / part).mkdir()
    for number in range(4):
        Image.new("L", (8, 6), 100 + number).save(source / "imagesTr" / f"p{number}_0000.png")
        Image.fromarray(structures(number)[:, :, 0].T).save(source / "labelsTr" / f"p{number}.png")
    (source / "splits.csv").unlink()
    import_dataset("nnunet", source, tmp_path / "fundus")
    assert {files.image.suffix for files in open_dataset(tmp_path / "fundus").cases} == {".png"}


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="an empty folder; expected a data set"):
        import_dataset("nnunet", tmp_path, tmp_path.parent / "heart")


@pytest.fixture
def two_channels(source):
    """Every case with a second channel, `_0001`, that the first one's copy stands for."""
    edit(source / "dataset.json", '{"0": "MRI"}', '{"0": "T1", "1": "FLAIR"}')
    for path in sorted((source / "imagesTr").iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("_0000", "_0001")))
    write_nifti(source / "imagesTr" / "p0_a_0001.nii.gz", intensities(99))
    return source


@pytest.mark.parametrize("choice", ["FLAIR", "1"])
def test_one_of_several_channels_can_be_chosen(two_channels, tmp_path, choice):
    summary = import_dataset("nnunet", two_channels, tmp_path / "heart", channel=choice)
    (copy,) = (tmp_path / "heart").glob("images*/p0_a_0000.nii.gz")
    assert copy.read_bytes() == (two_channels / "imagesTr" / "p0_a_0001.nii.gz").read_bytes()
    assert len(open_dataset(tmp_path / "heart").cases) == 12
    assert "Of the channels T1, FLAIR, FLAIR is taken." in str(summary)


def test_several_channels_want_a_choice(two_channels):
    with pytest.raises(InputError, match="channel_names is T1, FLAIR; expected exactly one channel, or a choice"):
        inventory(two_channels)
    with pytest.raises(InputError, match="T1, FLAIR and not T2; expected"):
        inventory(two_channels, channel="T2")


def test_a_decathlon_task_gives_one_of_its_channels(tmp_path):
    source = write_decathlon(tmp_path / "Task05_Prostate")
    import_dataset("nnunet", source, tmp_path / "prostate", channel="ADC")
    dataset = open_dataset(tmp_path / "prostate")
    assert dataset.labels == {"background": 0, "PZ": 1, "TZ": 2}
    assert [files.case for files in dataset.cases] == [f"prostate_{number:02d}" for number in range(4)]
    both = nib.load(source / "imagesTr" / "prostate_01.nii.gz")
    (path,) = (tmp_path / "prostate").glob("images*/prostate_01_0000.nii.gz")
    taken = nib.load(path)
    assert np.array_equal(np.asarray(taken.dataobj), np.asarray(both.dataobj)[..., 1])
    assert np.array_equal(taken.affine, both.affine)


def test_a_decathlon_task_of_one_channel_is_copied(tmp_path):
    source = write_decathlon(tmp_path / "Task09_Spleen")
    for path in (source / "imagesTr").iterdir():
        write_nifti(path, intensities(1, (24, 24, 4)), zooms=(0.6, 0.6, 4.0), affine=nib.load(path).affine)
    edit(source / "dataset.json", '{"0": "T2", "1": "ADC"}', '{"0": "CT"}')
    import_dataset("nnunet", source, tmp_path / "spleen")
    (path,) = (tmp_path / "spleen").glob("images*/prostate_01_0000.nii.gz")
    assert path.read_bytes() == (source / "imagesTr" / "prostate_01.nii.gz").read_bytes()


def test_an_image_of_too_few_channels_is_named(tmp_path):
    source = write_decathlon(tmp_path / "Task05_Prostate")
    write_nifti(source / "imagesTr" / "prostate_01.nii.gz", intensities(1))
    with pytest.raises(InputError, match=r"prostate_01\.nii\.gz: shape \(8, 6, 4\); expected four axes"):
        import_dataset("nnunet", source, tmp_path / "prostate", channel="ADC")
