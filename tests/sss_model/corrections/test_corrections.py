"""Corrections: masks out for a viewer, and back in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from support.scans import LABELS, edit, listing, redraw, write_nifti

from sss_model.corrections.export import listed_cases
from sss_model.corrections.incorporate import import_corrections, read_corrections
from sss_model.corrections.record import Export, read_export
from sss_model.data.canonical import open_dataset
from sss_model.data.manifest import build_manifest, cohort
from sss_model.errors import InputError
from sss_model.files import sha256

Exporter = Callable[..., Export]


def test_every_unlabelled_training_scan_lies_beside_its_mask(export: Exporter, data: Path, tmp_path: Path) -> None:
    done = export()
    assert [row.case for row in done.rows] == ["p1_a", "p1_b", "p2_a", "p2_b"]
    folder = tmp_path / "to_correct"
    for row in done.rows:
        assert (folder / row.image).read_bytes() == (data / "imagesTr" / f"{row.case}_0000.nii.gz").read_bytes()
        scan, mask = nib.load(folder / row.image), nib.load(folder / row.mask)
        assert mask.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(np.asarray(mask.dataobj), np.clip(scan.get_fdata() // 250, 0, 3))
        np.testing.assert_array_equal(mask.affine, scan.affine)
        assert (row.image_sha256, row.mask_sha256) == (sha256(folder / row.image), sha256(folder / row.mask))
        assert (folder / "predicted" / row.mask).read_bytes() == (folder / row.mask).read_bytes()


def test_what_the_numbers_mean_and_whose_masks_they_are_is_told(export: Exporter, tmp_path: Path) -> None:
    done = export(count=1)
    folder = tmp_path / "to_correct"
    assert {path.name for path in folder.iterdir()} == {
        *("README.txt", "corrections.csv", "export.json", "dataset.json", "labels.txt", "labels.ctbl"),
        *("predicted", "p1_a.nii.gz", "p1_a_mask.nii.gz"),
    }
    assert read_export(folder) == done
    assert done.origin.labels == LABELS
    assert done.origin.model_weights_sha256 == sha256(tmp_path / "checkpoint" / "weights.pt")
    assert "CASE_mask.nii.gz" in (folder / "README.txt").read_text()


def test_a_list_says_which_and_in_which_order(export: Exporter, tmp_path: Path) -> None:
    listed = tmp_path / "suggested.csv"
    listed.write_text("rank,case,why\n1,p2_b,unsure\n2,p1_a,unlike\n3,p1_b,unsure\n")
    assert [row.case for row in export(cases=listed_cases(listed), count=2).rows] == ["p2_b", "p1_a"]


@pytest.mark.parametrize(
    ("cases", "sentence"),
    [
        (["p1_a", "p9_a"], r"cases p9_a are not there"),
        (["p4_a", "p5_b"], r"cases p4_a, p5_b are of validation or test patients"),
        (["p0_a"], r"cases p0_a have a label already"),
    ],
)
def test_scans_that_can_not_be_corrected_are_named(
    cases: list[str], sentence: str, export: Exporter, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        export(cases=cases)
    assert not (tmp_path / "to_correct").exists()


def test_nothing_is_written_over_and_nothing_half(
    export: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr("sss_model.corrections.export.write_label_names", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    monkeypatch.undo()
    (tmp_path / "to_correct").mkdir()
    (tmp_path / "to_correct" / "mine.txt").touch()
    with pytest.raises(InputError, match="already holds something; expected a new folder"):
        export()


def test_a_model_of_other_classes_is_refused(export: Exporter, data: Path) -> None:
    description = data / "dataset.json"
    description.write_text(description.read_text().replace('"RV"', '"right ventricle"'))
    with pytest.raises(InputError, match=r"its classes are .*RV.*; expected the data's, .*right ventricle"):
        export()


@pytest.fixture
def folder(export: Exporter) -> Path:
    """Four exported scans; the mask of p2_a is redrawn, that of p1_b marked as right."""
    folder = export().folder
    redraw(folder / "p2_a_mask.nii.gz")
    table = folder / "corrections.csv"
    table.write_text(re.sub(r"^(p1_b,.*,)$", r"\1yes", table.read_text(), flags=re.MULTILINE))
    return folder


def test_what_was_redrawn_or_confirmed_becomes_a_label_and_nothing_else(folder: Path, data: Path) -> None:
    imported = import_corrections(folder, data)
    assert [(one.case, one.status, one.changed_voxels) for one in imported.added] == [
        ("p1_b", "confirmed", 0),
        ("p2_a", "corrected", 5),
    ]
    assert imported.left == ("p1_a", "p2_b")
    assert (imported.labelled_before, imported.labelled_now) == (2, 4)
    for case in ("p1_b", "p2_a"):
        label, mask = nib.load(data / "labelsTr" / f"{case}.nii.gz"), nib.load(folder / f"{case}_mask.nii.gz")
        np.testing.assert_array_equal(np.asarray(label.dataobj), np.asarray(mask.dataobj))
        assert label.get_data_dtype() == np.uint8
    assert not (data / "labelsTr" / "p1_a.nii.gz").exists()


def test_corrected_patients_join_the_queue_after_those_labelled_before(folder: Path, data: Path) -> None:
    before = [case.case for case in cohort(build_manifest(data), 2).labelled]
    import_corrections(folder, data)
    manifest = build_manifest(data)
    assert [case.case for case in cohort(manifest, 2).labelled] == before
    third = {case.case for case in cohort(manifest, 3).labelled} - set(before)
    assert third == {"p1_b"}
    assert len(cohort(manifest, 4).labelled) == len(before) + 2


def test_where_a_label_came_from_is_recorded(folder: Path, data: Path, tmp_path: Path) -> None:
    import_corrections(folder, data)
    first, second = read_corrections(data)
    assert (first.case, second.case, second.patient) == ("p1_b", "p2_a", "p2")
    assert second.label_sha256 == sha256(data / "labelsTr" / "p2_a.nii.gz")
    assert second.predicted_sha256 == sha256(folder / "predicted" / "p2_a_mask.nii.gz")
    assert second.model_weights_sha256 == sha256(tmp_path / "checkpoint" / "weights.pt")
    assert (second.model_method, second.model_data_version, second.model_git_revision) == ("sss", "abc.dir", "f00")
    assert second.exported <= second.imported
    assert json.loads((data / "dataset.json").read_text())["corrections"] == "corrections.csv"


def test_importing_again_changes_nothing(folder: Path, data: Path) -> None:
    import_corrections(folder, data)
    before = listing(data.parent)
    again = import_corrections(folder, data)
    assert (again.added, again.as_before) == ((), ("p1_b", "p2_a"))
    assert listing(data.parent) == before


def test_a_mask_that_is_corrected_once_more_replaces_its_label_and_keeps_its_place(folder: Path, data: Path) -> None:
    import_corrections(folder, data)
    splits = (data / "splits.csv").read_bytes()
    redraw(folder / "p2_a_mask.nii.gz", voxels=3)
    again = import_corrections(folder, data)
    assert [(one.case, one.changed_voxels) for one in again.added] == [("p2_a", 8)]
    assert again.as_before == ("p1_b",)
    assert (data / "splits.csv").read_bytes() == splits
    assert [one.changed_voxels for one in read_corrections(data)] == [0, 8]


def test_a_second_round_joins_after_the_first(folder: Path, data: Path) -> None:
    import_corrections(folder, data)
    redraw(folder / "p1_a_mask.nii.gz")
    import_corrections(folder, data)
    orders = {row.patient: row.label_order for row in open_dataset(data).splits if row.split == "train"}
    assert sorted(orders, key=lambda patient: orders[patient] or 0) == ["p0", "p3", "p1", "p2"]


def test_no_under_done_leaves_out_what_was_saved(folder: Path, data: Path) -> None:
    table = folder / "corrections.csv"
    table.write_text(re.sub(r"^(p2_a,.*,)$", r"\1no", table.read_text(), flags=re.MULTILINE))
    assert [one.case for one in import_corrections(folder, data).added] == ["p1_b"]


def test_a_spreadsheet_may_have_saved_the_table(folder: Path, data: Path) -> None:
    table = folder / "corrections.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b",", b";").replace(b"\n", b"\r\n"))
    assert len(import_corrections(folder, data).added) == 2


def test_a_viewers_header_and_number_type_do_not_matter(folder: Path, data: Path) -> None:
    # As ITK writes ACDC's scans, whose affines hold no voxel size: 16-bit numbers, and sizes in the affine.
    mask = folder / "p2_a_mask.nii.gz"
    redraw(mask, dtype=np.int16, affine=np.diag([-1.5, -1.5, 8, 1]))
    import_corrections(folder, data)
    label = nib.load(data / "labelsTr" / "p2_a.nii.gz")
    np.testing.assert_array_equal(np.asarray(label.dataobj), np.asarray(nib.load(mask).dataobj))
    np.testing.assert_array_equal(label.affine, nib.load(folder / "p2_a.nii.gz").affine)
    build_manifest(data)


def refuse(folder: Path, data: Path, sentence: str) -> None:
    before = listing(data.parent)
    with pytest.raises(InputError, match=sentence):
        import_corrections(folder, data)
    assert listing(data.parent) == before


def test_a_case_of_a_test_or_validation_patient_is_refused_by_name(folder: Path, data: Path) -> None:
    splits = data / "splits.csv"
    splits.write_text(splits.read_text().replace("p2,g0,train,2", "p2,g0,test,"))
    for kind in ("images", "labels"):
        for path in (data / f"{kind}Tr").glob("p2_*"):
            path.rename(data / f"{kind}Ts" / path.name)
    refuse(folder, data, r"cases p2_a \(test\) are of validation or test patients")
    splits.write_text(splits.read_text().replace("p2,g0,test,", "p2,g0,val,"))
    refuse(folder, data, r"cases p2_a \(val\)")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda array, affine: (np.where(array == 3, 7, array), affine),
            r"p2_a_mask.*voxels are 7; expected 0 back",
        ),
        (lambda array, affine: (array[:-1], affine), r"shape 7x6x4; expected that of its scan, 8x6x4"),
        (lambda array, affine: (array, affine + 3 * np.eye(4, k=3)), r"lies up to 3 mm from its scan's voxels"),
        (lambda array, affine: (array * 0.5, affine), r"expected whole numbers"),
    ],
    ids=["value", "shape", "shifted", "fractions"],
)
def test_a_mask_that_does_not_fit_is_refused(folder: Path, data: Path, change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    mask = folder / "p2_a_mask.nii.gz"
    image = nib.load(mask)
    array, affine = change(np.asarray(image.dataobj), image.affine)
    write_nifti(mask, array, affine=affine)
    refuse(folder, data, sentence)


def test_voxels_of_another_size_are_refused(folder: Path, data: Path) -> None:
    mask = folder / "p2_a_mask.nii.gz"
    write_nifti(mask, np.asarray(nib.load(mask).dataobj), zooms=(1.5, 1.5, 7.0))
    refuse(folder, data, r"voxels of 1.5 x 1.5 x 7 mm; expected its scan's, 1.5 x 1.5 x 8 mm")


def test_a_label_from_elsewhere_is_not_replaced(folder: Path, data: Path) -> None:
    write_nifti(data / "labelsTr" / "p2_a.nii.gz", np.ones((8, 6, 4), np.uint8))
    refuse(folder, data, r"case p2_a: has the label .*p2_a.nii.gz from elsewhere")


def test_an_image_that_is_another_one_by_now_is_refused(folder: Path, data: Path) -> None:
    write_nifti(data / "imagesTr" / "p2_a_0000.nii.gz", np.ones((8, 6, 4), np.int16))
    refuse(folder, data, r"case p2_a: .* is another scan than was exported")


def test_nothing_corrected_is_told(export: Exporter, data: Path) -> None:
    refuse(export().folder, data, r"no mask was saved since the export, and no row of corrections.csv says yes")


def test_a_lost_mask_is_told(folder: Path, data: Path) -> None:
    (folder / "p1_a_mask.nii.gz").unlink()
    refuse(folder, data, r"p1_a_mask.nii.gz: no such file; expected the mask of case p1_a, or no under done")


def test_what_the_model_drew_can_not_be_changed(folder: Path, data: Path) -> None:
    redraw(folder / "predicted" / "p2_a_mask.nii.gz")
    refuse(folder, data, r"predicted/p2_a_mask.nii.gz: not the mask that was exported")


def test_a_word_that_is_neither_yes_nor_no_is_told(folder: Path, data: Path) -> None:
    edit(folder / "corrections.csv", ",yes", ",perhaps")
    refuse(folder, data, r"case p1_b has 'perhaps' under done; expected yes, no or nothing")


def test_a_folder_that_is_no_export_is_told(tmp_path: Path, data: Path) -> None:
    refuse(tmp_path, data, r"no export.json; expected a folder that sss export corrections wrote")


def test_a_check_that_fails_leaves_all_as_it_was(folder: Path, data: Path) -> None:
    seen = []

    def check(staged: Path, cases: list[str]) -> None:
        seen.extend(cases)
        assert (staged / "labelsTr" / "p2_a.nii.gz").exists()
        raise InputError("no")

    before = listing(data.parent)
    with pytest.raises(InputError, match="no"):
        import_corrections(folder, data, check=check)
    assert seen == ["p1_b", "p2_a"]
    assert listing(data.parent) == before
