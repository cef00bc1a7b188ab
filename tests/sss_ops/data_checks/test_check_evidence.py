from __future__ import annotations

import pytest
from support.scans import edit, intensities, write_canonical, write_nifti

from sss_model.data.manifest import build_manifest
from sss_model.errors import InputError
from sss_ops.data_checks.evidence import compare_with_folder


@pytest.fixture
def folder(tmp_path):
    return write_canonical(tmp_path / "heart", ("train", "val"))


def test_cases_that_came_and_splits_that_changed_are_found(folder):
    manifest = build_manifest(folder)
    edit(folder / "splits.csv", "p1_a,p1,g1,val,", "p9_a,p9,g0,train,9\np1_a,p1,g2,val,")
    write_nifti(folder / "imagesTr" / "p9_a_0000.nii.gz", intensities(99))
    listings = {listing.case: listing for listing in compare_with_folder(manifest, folder)}
    assert listings["p9_a"].only_in == "the folder"
    assert (listings["p1_a"].row, listings["p1_a"].manifest_row) == (
        "p1, g2, val, no label order",
        "p1, g1, val, no label order",
    )
    assert listings["p0_a"].only_in is None and listings["p0_a"].row == listings["p0_a"].manifest_row


def test_a_folder_that_is_no_data_set_any_more_is_refused(folder):
    manifest = build_manifest(folder)
    (folder / "splits.csv").unlink()
    with pytest.raises(InputError, match=r"splits\.csv: no such file"):
        compare_with_folder(manifest, folder)
