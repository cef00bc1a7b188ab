"""Pictures, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from support.scans import intensities, write_nifti

from sss_model.errors import InputError
from sss_model.io.volumes import read_label, read_volume, write_volume


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_nifti(tmp_path / "scan.nii.gz", intensities(0))


def test_pictures_are_one_slice_thick_and_come_back_as_they_were(tmp_path):
    rows = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(rows).save(tmp_path / "in.png")
    volume = read_volume(tmp_path / "in.png")
    assert (volume.array.shape, volume.slice_axis, volume.array[0, 2, 0]) == ((4, 3, 1), 2, 3)
    write_volume(volume, tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), rows)


def test_colour_becomes_luminance_in_an_image_and_is_refused_in_a_label(tmp_path):
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "in.png")
    assert set(read_volume(tmp_path / "in.png").array.ravel()) == {76}
    with pytest.raises(InputError, match="a RGB picture as a label"):
        read_label(tmp_path / "in.png")


def test_a_palette_label_keeps_its_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8)).convert("P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.save(tmp_path / "in.png")
    assert read_label(tmp_path / "in.png").array[::-1, ::-1, 0].T.tolist() == [[0, 1], [2, 1]]


def test_a_volume_of_several_slices_does_not_fit_a_picture(scan, tmp_path):
    with pytest.raises(InputError, match=r"shape 8x6x4 .* does not fit a PNG"):
        write_volume(read_label(scan), tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def cut(path: Path, size: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * size)])


def test_a_truncated_file_is_refused(tmp_path):
    packed = write_nifti(tmp_path / "packed.nii.gz", intensities(0))
    plain = write_nifti(tmp_path / "plain.nii", intensities(0))
    for path in (packed, plain):
        cut(path, 0.7)
    with pytest.raises(InputError, match=r"packed\.nii\.gz: truncated, its compressed data ends early"):
        read_volume(packed)
    with pytest.raises(InputError, match=r"plain\.nii: truncated, 515 bytes of data; expected the 736 its header"):
        read_volume(plain)


@pytest.mark.parametrize("name", ["text.nii.gz", "text.nii", "text.png", "empty.nii.gz"])
def test_a_text_file_by_another_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("" if name.startswith("empty") else "patient,age\n1,57\n" * 50)
    with pytest.raises(InputError, match=rf"{name}: not a (NIfTI|readable PNG) file"):
        read_volume(tmp_path / name)


def test_damaged_compressed_data_is_refused(scan):
    data = bytearray(scan.read_bytes())
    data[len(data) // 2] ^= 0xFF
    scan.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"scan\.nii\.gz: its compressed data is damaged"):
        read_volume(scan)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(tmp_path, value):
    array = intensities(0).astype(np.float32)
    array[1, 2, 3] = value
    path = write_nifti(tmp_path / "in.nii.gz", array)
    for read in (read_volume, read_label):
        with pytest.raises(InputError, match=r"in\.nii\.gz: 1 of 192 voxels are NaN or infinite"):
            read(path)


def test_an_empty_volume_is_refused(tmp_path):
    path = write_nifti(tmp_path / "in.nii", np.zeros((4, 0, 3), dtype=np.int16))
    with pytest.raises(InputError, match=r"in\.nii: empty, its shape is 4x0x3"):
        read_volume(path)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("srow_x", [0, 0, 0, 0], "can't be inverted"),
        ("srow_x", [np.nan, 0, 0, 0], "can't be inverted"),
        ("pixdim", [1, 0, 1, 1, 0, 0, 0, 0], "voxel size 0.0x1.0x1.0; expected three positive numbers"),
    ],
)
def test_a_header_that_places_no_voxels_is_refused(tmp_path, field, value, sentence):
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header[field] = value
    (tmp_path / "in.nii").write_bytes(image.header.binaryblock + bytes(4) + intensities(0).tobytes("F"))
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path / "in.nii")


def test_complex_voxels_are_refused(tmp_path):
    path = write_nifti(tmp_path / "in.nii", intensities(0).astype(np.complex64))
    with pytest.raises(InputError, match="voxels of type complex64"):
        read_volume(path)


def test_missing_files_folders_and_unknown_endings_are_refused(tmp_path):
    (tmp_path / "folder.nii").mkdir()
    for name, sentence in (
        ("none.nii", "no such file"),
        ("folder.nii", "can't be read"),
        ("a.mha", "unknown kind of file"),
    ):
        with pytest.raises(InputError, match=rf"{name}: {sentence}"):
            read_volume(tmp_path / name)
