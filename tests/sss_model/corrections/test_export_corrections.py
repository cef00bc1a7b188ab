from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from support.scans import LABELS

from sss_model.corrections.export import listed_cases
from sss_model.corrections.record import Export, read_export
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
