from __future__ import annotations

import pytest
from PIL import Image

from sss_model.datasets import import_dataset
from sss_model.datasets.canonical import open_dataset
from sss_model.datasets.nnunet import inventory
from sss_model.errors import InputError
from tests.scans import edit, structures, write_canonical


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
    with pytest.raises(InputError, match=r"patients\.csv: no columns case and patient"):
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
