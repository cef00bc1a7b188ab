from __future__ import annotations

import json

import pytest
from support.scans import LABELS, edit, intensities, write_canonical, write_nifti

from sss_model.data.canonical import Assignment, open_dataset, write_dataset
from sss_model.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return write_canonical(tmp_path / "heart")


def test_a_data_set_lists_its_cases_labels_and_splits(folder):
    dataset = open_dataset(folder)
    assert [files.case for files in dataset.cases][:3] == ["p0_a", "p0_b", "p1_a"]
    assert dataset.cases[0].image == folder / "imagesTr" / "p0_a_0000.nii.gz"
    assert dataset.cases[-1].label == folder / "labelsTs" / "p4_b.nii.gz"
    assert dataset.splits[2] == Assignment("p1_a", "p1", "g1", "train", 1)
    assert dataset.labels == LABELS


def test_what_is_written_is_what_is_read(tmp_path):
    rows = [Assignment("b", "p, the second", "", "train", 0), Assignment("a", "p1", "DCM", "test", None)]
    write_dataset(tmp_path, labels=LABELS, splits=rows, channel="MRI", licence="CC0", citation="Somebody, 2018")
    for part, case in (("Tr", "b"), ("Ts", "a")):
        write_nifti(tmp_path / f"images{part}" / f"{case}_0000.nii.gz", intensities(0))
    dataset = open_dataset(tmp_path)
    assert (dataset.splits, dataset.licence, dataset.citation) == ((rows[1], rows[0]), "CC0", "Somebody, 2018")
    assert [files.label for files in dataset.cases] == [None, None]
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert (description["numTraining"], description["channel_names"]) == (1, {"0": "MRI"})


def test_labels_are_sorted_by_value(folder):
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = dict(reversed(LABELS.items()))
    (folder / "dataset.json").write_text(json.dumps(description))
    assert list(open_dataset(folder).labels) == ["background", "RV", "MYO", "LV"]


def test_splits_that_a_spreadsheet_saved_are_read(folder):
    text = (folder / "splits.csv").read_text()
    (folder / "splits.csv").write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert len(open_dataset(folder).splits) == 10


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="an empty folder; expected a data set"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="no such folder; expected a data set"):
        open_dataset(tmp_path / "none")


def test_a_folder_without_images_is_refused(folder):
    for path in folder.glob("*/*"):
        path.unlink()
    with pytest.raises(InputError, match=r"no images; expected imagesTr/CASE_0000\.nii\.gz"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["dataset.json", "splits.csv"])
def test_a_missing_description_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('{"channel_names', "{channel_names", "not JSON"),
        ('"file_ending": ".nii.gz"', '"file_ending": ".dcm"', "file_ending is '.dcm'; expected one of .nii.gz"),
        ('{"0": "MRI"}', '{"0": "T1", "1": "T2"}', "expected exactly one channel"),
        ('"LV": 3', '"LV": 4', "expected background 0, then the classes as 1, 2, 3"),
        ('"LV": 3', '"LV": [1, 3]', "expected background 0, then"),
        ('"background"', '"air"', "expected background 0, then"),
    ],
)
def test_an_invalid_description_is_refused(folder, old, new, sentence):
    edit(folder / "dataset.json", old, new)
    with pytest.raises(InputError, match=rf"dataset\.json: .*{sentence}"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,test,", "patient p0 has split train .case p0_a. and test .case p0_b."),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,train,1", "patient p0 has label_order 0 .case p0_a. and 1"),
        ("p0_b,p0,g0,train,0\n", "", "case p0_b has an image and no row"),
        ("p0_b,", "p9_z,", "case p0_b has an image and no row"),
        ("p0_b,p0", "p0_a,p0", "case p0_a appears twice in splits.csv"),
        ("p4_b,p4,g0,test,", "p4_b,p4,g0,test,\nx,x,,test,", "case x has a row in splits.csv and no image"),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,training,0", "line 3: case p0_b has split 'training'"),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,train,first", "line 3: case p0_b has label_order 'first'"),
        ("p0_b,p0,", "p0_b,,", "line 3: no patient"),
        ("p0_b,p0,g0,train,0", "p0_b,p0", "line 3: case p0_b has split ''"),
        ("patient,", "person,", "no column patient"),
    ],
)
def test_invalid_splits_are_refused(folder, old, new, sentence):
    edit(folder / "splits.csv", old, new)
    with pytest.raises(InputError, match=sentence):
        open_dataset(folder)


def test_a_label_without_an_image_is_refused(folder):
    (folder / "imagesTr" / "p1_a_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"p1_a\.nii\.gz: a label without an image"):
        open_dataset(folder)


def test_a_second_channel_is_refused(folder):
    write_nifti(folder / "imagesTr" / "p0_a_0001.nii.gz", intensities(0))
    with pytest.raises(InputError, match=r"p0_a_0001\.nii\.gz: not an image of one channel"):
        open_dataset(folder)
