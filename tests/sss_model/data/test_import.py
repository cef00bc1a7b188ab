"""What importing has in common, whatever the layout; the transcripts in docs/reference/layouts.md."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from support.scans import intensities, structures, write_acdc, write_nifti
from support.transcripts import DOCUMENT, blocks, is_real, replay

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset, plan_import
from sss_model.errors import InputError

PATIENTS = {f"patient{number:03d}": "NOR" for number in range(1, 5)}


@pytest.fixture
def source(tmp_path):
    return write_acdc(tmp_path / "training", PATIENTS)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def zipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_the_summary_says_what_was_made_and_whom_to_cite(source, data):
    text = str(import_dataset("acdc", source, data / "acdc"))
    assert "8 cases of 4 patients (2 train, 1 val, 1 test)" in text
    assert "Licence: CC BY-NC-SA 4.0" in text
    assert "Please cite: O. Bernard" in text


def test_test_patients_lie_apart(source, data):
    import_dataset("acdc", source, data / "acdc")
    for files, row in zip(*(lambda dataset: (dataset.cases, dataset.splits))(open_dataset(data / "acdc")), strict=True):
        part = "Ts" if row.split == "test" else "Tr"
        assert (files.image.parent.name, files.label.parent.name) == (f"images{part}", f"labels{part}")


def test_a_zip_file_gives_what_its_folder_gives(source, data, tmp_path):
    import_dataset("acdc", source, data / "folder")
    import_dataset("acdc", zipped(tmp_path / "acdc.zip", source), data / "zip")
    contents = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (data / "folder", data / "zip")
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../../evil.txt"])
def test_a_zip_file_that_reaches_outside_is_refused(data, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(name, "evil")
    with pytest.raises(InputError, match=r"evil\.zip: its member .* would land outside"):
        import_dataset("acdc", tmp_path / "evil.zip", data / "acdc")
    assert not list(data.iterdir())


def test_what_macos_adds_to_a_zip_file_is_left_out(source, data, tmp_path):
    path = zipped(tmp_path / "acdc.zip", source)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/training/patient001/Info.cfg", "rubbish")
        archive.writestr("training/patient001/._patient001_frame01.nii.gz", "rubbish")
    import_dataset("acdc", path, data / "acdc")
    assert len(open_dataset(data / "acdc").cases) == 8


def test_a_damaged_zip_file_is_refused(source, data, tmp_path):
    path = zipped(tmp_path / "acdc.zip", source)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"acdc\.zip: a damaged zip file or none at all"):
        import_dataset("acdc", path, data / "acdc")


def test_a_bad_scan_in_a_zip_file_is_named_by_the_archive(source, data, tmp_path):
    (source / "patient002" / "patient002_frame01.nii.gz").write_text("not a scan")
    path = zipped(tmp_path / "acdc.zip", source)
    with pytest.raises(InputError, match=f"{path}/training/patient002/patient002_frame01.nii.gz: not a NIfTI file"):
        import_dataset("acdc", path, data / "acdc")


def image_and_label(source: Path) -> tuple[Path, Path]:
    stem = source / "patient002" / "patient002_frame01"
    return stem.with_name(f"{stem.name}.nii.gz"), stem.with_name(f"{stem.name}_gt.nii.gz")


def truncated(image: Path, label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-50])


def text(image: Path, label: Path) -> None:
    image.write_text("not a scan")


def other_shape(image: Path, label: Path) -> None:
    write_nifti(label, structures(0, (8, 6, 5)))


def other_affine(image: Path, label: Path) -> None:
    write_nifti(label, structures(0), affine=np.diag([1.0, 1, 1, 1]))


def unknown_label(image: Path, label: Path) -> None:
    write_nifti(label, structures(0) + np.uint8(3))


def not_a_number(image: Path, label: Path) -> None:
    write_nifti(image, np.full((8, 6, 4), np.nan, dtype=np.float32))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncated, "truncated, its compressed data ends early"),
        (text, "not a NIfTI file"),
        (other_shape, r"shape \[8, 6, 5\]; expected that of its image"),
        (other_affine, r"affine .* expected that of its image"),
        (unknown_label, "48 voxels are 4; expected 0 background, 1 RV, 2 MYO, 3 LV, as in dataset.json"),
        (not_a_number, "192 of 192 voxels are NaN or infinite"),
    ],
)
def test_a_scan_that_cannot_be_used_is_named_and_nothing_is_written(source, data, damage, sentence):
    damage(*image_and_label(source))
    with pytest.raises(InputError, match=f"case patient002_frame01: .*{sentence}"):
        import_dataset("acdc", source, data / "acdc")
    assert not list(data.iterdir())


def test_a_full_disk_leaves_nothing_half_written_and_the_old_data_as_it_was(source, data, monkeypatch):
    import_dataset("acdc", source, data / "acdc")
    before = sorted(data.rglob("*"))
    copied = []

    def copy_until_full(image: Path, copy: Path) -> None:
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(copy))
        copied.append(copy)

    monkeypatch.setattr(shutil, "copyfile", copy_until_full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        import_dataset("acdc", source, data / "acdc", replace=True)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(data.rglob("*")) == before


def test_a_folder_that_holds_something_is_only_replaced_on_demand(source, data):
    (data / "acdc").mkdir()
    (data / "acdc" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="acdc: already holds something; expected an empty folder, or --replace"):
        import_dataset("acdc", source, data / "acdc")
    assert (data / "acdc" / "notes.txt").read_text() == "mine"
    import_dataset("acdc", source, data / "acdc", replace=True)
    assert not (data / "acdc" / "notes.txt").exists()
    assert [path.name for path in data.iterdir()] == ["acdc"]


def test_a_source_is_never_replaced_by_its_own_import(source):
    with pytest.raises(InputError, match=r"holds the source .* itself"):
        import_dataset("acdc", source, source.parent, replace=True)
    assert source.is_dir()


def test_an_empty_folder_may_be_there_already_but_not_a_file(source, data):
    (data / "acdc").mkdir()
    import_dataset("acdc", source, data / "acdc")
    (data / "file").write_text("")
    with pytest.raises(InputError, match="file: a file is in the way"):
        import_dataset("acdc", source, data / "file")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "patient001_frame12,patient001,,test",
            "patient001_frame12,patient001,,val",
            "patient patient001 has split test",
        ),
        (
            "patient002_frame01,patient002,,train,0\n",
            "",
            "case patient002_frame01 is in the source and not in the splits",
        ),
        ("frame01,patient003", "frame02,patient003", "case patient003_frame01 is in the source and not in the splits"),
    ],
)
def test_splits_must_fit_the_source(source, data, tmp_path, old, new, sentence):
    sides = {"patient001": "test,", "patient002": "train,0", "patient003": "train,1", "patient004": "val,"}
    rows = [f"{name}_frame{frame},{name},,{side}" for name, side in sides.items() for frame in ("01", "12")]
    splits = tmp_path / "splits.csv"
    splits.write_text("\n".join(["case,patient,group,split,label_order", *rows, ""]))
    import_dataset("acdc", source, data / "fits", splits=splits)
    assert {row.patient: row.split for row in open_dataset(data / "fits").splits}["patient004"] == "val"

    assert old in splits.read_text()
    splits.write_text(splits.read_text().replace(old, new))
    with pytest.raises(InputError, match=sentence):
        import_dataset("acdc", source, data / "acdc", splits=splits)


def test_a_patient_missing_in_the_lists_is_refused(source, data, tmp_path):
    names = {"train": "patient001", "val": "patient002", "test": "patient003", "train_slices": "patient001"}
    for name, patient in names.items():
        (tmp_path / f"{name}.list").write_text(f"{patient}_frame01\n")
    with pytest.raises(InputError, match="patient patient004 is in the source and not in the splits"):
        import_dataset("acdc", source, data / "acdc", splits=tmp_path)


def test_the_same_case_in_two_places_is_refused(source, data):
    shutil.copytree(source / "patient001", source / "again" / "patient001")
    with pytest.raises(InputError, match=r"case patient001_frame01: found as .* and .*; expected one of them"):
        import_dataset("acdc", source, data / "acdc")


@pytest.mark.parametrize(
    ("layout", "path", "sentence"),
    [
        ("nifti", ".", "nifti: unknown layout; expected one of acdc, .*, nnunet, refuge, phantom"),
        ("acdc", None, "no source given; expected a folder or zip file"),
        ("acdc", "none", "none: no such folder or zip file"),
    ],
)
def test_an_unknown_layout_or_a_missing_source_is_refused(data, layout, path, sentence):
    with pytest.raises(InputError, match=sentence):
        import_dataset(layout, path and data / path, data / "acdc")
    assert not list(data.iterdir())


def test_files_are_copied_and_not_compressed_again(source, data):
    image, _ = image_and_label(source)
    nib.save(nib.Nifti1Image(intensities(7), nib.load(image).affine, nib.load(image).header), image)
    import_dataset("acdc", source, data / "acdc")
    (copy,) = data.glob("acdc/images*/patient002_frame01_0000.nii.gz")
    assert copy.read_bytes() == image.read_bytes()


def test_zip_files_in_a_folder_and_in_a_zip_file_are_unpacked_too(source, data, tmp_path):
    (tmp_path / "downloads").mkdir()
    zipped(tmp_path / "downloads" / "part.zip", source)
    import_dataset("acdc", tmp_path / "downloads", data / "folder")
    import_dataset("acdc", zipped(tmp_path / "outer.zip", tmp_path / "downloads"), data / "zip")
    assert len(open_dataset(data / "folder").cases) == len(open_dataset(data / "zip").cases) == 8
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["part.zip"]


def test_the_summary_counts_scans_slices_and_classes(source, data):
    lines = [line.split() for line in str(import_dataset("acdc", source, data / "acdc")).splitlines()]
    assert ["train", "2", "4", "4", "16", "1.5", "×", "1.5", "×", "8"] in lines
    assert ["3", "LV", "8", "25", "%"] in lines


def test_a_dry_run_shows_the_plan_of_any_layout(source, data):
    text = str(plan_import("acdc", source))
    assert "8 cases of 4 patients (2 train, 1 val, 1 test); nothing is written (--dry-run)" in text
    assert "and 3 more cases" in text
    assert "Licence: CC BY-NC-SA 4.0" in text
    assert not list(data.iterdir())


def test_a_patient_whom_the_source_has_on_two_sides_is_refused(source, data, tmp_path):
    write_acdc(tmp_path / "testing", {"patient001": "NOR"}, frames=(2,))
    with pytest.raises(InputError, match=r"patient patient001: the source has cases in .*train.*; expected all on one"):
        import_dataset("acdc", tmp_path, data / "acdc")


BLOCKS = blocks(DOCUMENT.read_text())


def _marked(block: str) -> object:
    if not is_real(block):
        return pytest.param(block, id=" ".join(block.split()[3:5]))
    without = pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")
    return pytest.param(block, id="ACDC itself", marks=[pytest.mark.acceptance, without])


@pytest.mark.parametrize("block", [_marked(block) for block in BLOCKS])
def test_a_transcript_is_what_its_commands_print(block: str) -> None:
    assert replay(block) == block


def test_every_layout_has_a_transcript_with_the_verdict_of_the_data_checks() -> None:
    judged = [block.split()[3] for block in BLOCKS if "checks passed" in block]
    assert set(judged) == {"acdc", "bhsd", "btcv", "refuge", "nnunet", "folder", "dicom", "phantom"}
