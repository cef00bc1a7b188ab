"""BHSD: official test cases, patients from the names, labelled and unlabelled scans."""

from __future__ import annotations

import re
import shutil

import pytest
from support.samples import write_bhsd

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.bhsd import TEST_CASES, inventory
from sss_model.errors import InputError


@pytest.fixture
def source(tmp_path):
    return write_bhsd(tmp_path / "source", shape=(24, 24, 4))


def test_the_official_test_cases_are_96():
    assert len(TEST_CASES) == 96
    assert all(re.fullmatch(r"[0-9a-f]{8}_[0-9a-f]{10}", name) for name in TEST_CASES)


def test_official_test_cases_are_the_test_set_and_validation_comes_from_the_others(source, tmp_path):
    import_dataset("bhsd", source, tmp_path / "bhsd")
    rows = open_dataset(tmp_path / "bhsd").splits
    tests = {row.case for row in rows if row.split == "test"}
    assert {case.replace("ID_", "") for case in tests} == set(sorted(TEST_CASES)[:2])
    assert {row.split for row in rows} == {"train", "val", "test"}


def test_two_studies_of_a_patient_stay_together(source, tmp_path):
    sides = set()
    for seed in range(8):
        import_dataset("bhsd", source, tmp_path / "bhsd", seed=seed, replace=True)
        both = [row for row in open_dataset(tmp_path / "bhsd").splits if row.patient == "ID_2db7ee14"]
        assert len(both) == 2
        assert len({row.split for row in both}) == 1
        sides.add(both[0].split)
    assert sides == {"train", "val"}


def test_unlabelled_scans_go_to_training(source, tmp_path):
    import_dataset("bhsd", source, tmp_path / "bhsd")
    dataset = open_dataset(tmp_path / "bhsd")
    without = [files.case for files in dataset.cases if files.label is None]
    assert without == ["ID_0f00aa11_ID_1111111111", "ID_0f00bb22_ID_2222222222"]
    assert {row.split for row in dataset.splits if row.case in without} == {"train"}


def test_a_test_patients_unlabelled_study_is_not_trained_on(source, tmp_path):
    patient = sorted(TEST_CASES)[0].split("_")[0]
    study = source / "unlabel_1980" / f"ID_{patient}_ID_3333333333.nii.gz"
    shutil.copy(source / "unlabel_1980" / "ID_0f00aa11_ID_1111111111.nii.gz", study)
    import_dataset("bhsd", source, tmp_path / "bhsd")
    assert study.name.removesuffix(".nii.gz") not in {row.case for row in open_dataset(tmp_path / "bhsd").splits}


def test_the_classes_are_the_five_kinds_and_the_licence_is_the_strict_one(source):
    found = inventory(source)
    assert found.labels == {"background": 0, "EDH": 1, "IPH": 2, "IVH": 3, "SAH": 4, "SDH": 5}
    assert (found.channel, found.licence.split(":")[0]) == ("CT", "BHSD's own page says NC-ND")
    assert "8 of 192 labelled scans (2 of the 96 official test cases) and 2 of 1980" in found.notes[0]


def test_zip_files_beside_folders_give_the_same_and_stay_as_they_were(source, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    shutil.make_archive(str(downloads / "label_192"), "zip", source, "label_192")
    shutil.copytree(source / "unlabel_1980", downloads / "unlabel_1980")
    import_dataset("bhsd", source, tmp_path / "one")
    import_dataset("bhsd", downloads, tmp_path / "two")
    assert open_dataset(tmp_path / "one").splits == open_dataset(tmp_path / "two").splits
    assert sorted(path.name for path in downloads.iterdir()) == ["label_192.zip", "unlabel_1980"]
    assert len(list((downloads / "unlabel_1980").iterdir())) == 2


def test_a_label_without_a_scan_and_a_folder_of_something_else_are_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"0 scans and 0 labels; expected BHSD's label_192/images"):
        inventory(tmp_path / "nothing")
    next((source / "label_192" / "images").iterdir()).unlink()
    with pytest.raises(InputError, match="a label without a scan; expected ID_"):
        inventory(source)
