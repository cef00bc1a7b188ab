"""Volumes, and masks that open where their scan does."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.transforms import LoadImage
from scipy.spatial.transform import Rotation
from support.scans import intensities, structures, write_nifti

from sss_model.errors import InputError
from sss_model.io.volumes import read_label, read_pair, read_volume, volume_from_bytes, write_volume

ORIENTATIONS = ["".join(axes) for order in permutations(("LR", "PA", "IS")) for axes in product(*order)]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_nifti(tmp_path / "scan.nii.gz", intensities(0))


def affine_of(orientation: str, zooms: list[float], tilt: list[float], origin: list[float]) -> np.ndarray:
    """Stored axes that grow along `orientation`, tilted by at most 15 degrees about each axis of the world."""
    directions = np.zeros((3, 3))
    for stored, letter in enumerate(orientation):
        directions["LRPAIS".index(letter) // 2, stored] = 1 if letter in "RAS" else -1
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ directions @ np.diag(zooms)
    affine[:3, 3] = origin
    return affine


millimetres = st.lists(st.floats(0.2, 12), min_size=3, max_size=3)
degrees = st.lists(st.floats(-15, 15), min_size=3, max_size=3)
origins = st.lists(st.floats(-300, 300), min_size=3, max_size=3)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zooms=millimetres, tilt=degrees, origin=origins, shape=shapes, codes=st.sampled_from([(2, 0), (0, 1), (1, 1)]))
def test_what_goes_in_comes_back_on_its_own_grid(tmp_path, orientation, zooms, tilt, origin, shape, codes):
    values = intensities(0, shape)
    affine = affine_of(orientation, zooms, tilt, origin)
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    nib.save(image, tmp_path / "in.nii.gz")
    before = nib.load(tmp_path / "in.nii.gz")

    volume = read_volume(tmp_path / "in.nii.gz")
    write_volume(volume, tmp_path / "out.nii.gz")

    after = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(after.dataobj), values)
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.header.get_zooms() == before.header.get_zooms()
    assert [int(after.header[code]) for code in ("sform_code", "qform_code")] == list(codes)
    assert volume.source.orientation == orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_inside_a_voxel_keeps_its_place_in_the_world_and_axes_grow_right_front_up(tmp_path, orientation):
    affine = affine_of(orientation, [0.7, 1.9, 5.0], [10, -15, 5], [20, -30, 40])
    path = write_nifti(tmp_path / "in.nii", intensities(0, (2, 3, 4)), affine=affine, zooms=(0.7, 1.9, 5.0))
    stored = nib.load(path)
    volume = read_volume(path)

    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    np.testing.assert_allclose(volume.spacing, nib.affines.voxel_sizes(volume.affine), rtol=1e-5)
    for index in np.ndindex(stored.shape):
        inside = np.linalg.inv(volume.affine) @ stored.affine @ [*index, 1]
        assert volume.array[tuple(np.rint(inside[:3]).astype(int))] == stored.dataobj[index]


def test_spacing_comes_from_the_zooms_where_the_affine_carries_none(tmp_path):
    affine = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    volume = read_volume(write_nifti(tmp_path / "in.nii", intensities(0), affine=affine, zooms=(1.4, 2.5, 8)))
    assert volume.spacing == (2.5, 1.4, 8.0)
    assert volume.source.spacing == (1.4, 2.5, 8.0)


def test_spacing_is_in_millimetres_whatever_the_header_counts_in(tmp_path):
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header.set_zooms((250, 250, 1000))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "in.nii")
    assert read_volume(tmp_path / "in.nii").spacing == pytest.approx((0.25, 0.25, 1.0))


@pytest.mark.parametrize(
    ("zooms", "axis"),
    [((1, 1, 8), 2), ((8, 1, 1), 0), ((1, 5, 2), 1), ((1, 1, 1), 2), ((1.005, 1, 1), 2), ((3, 3, 1), 1)],
)
def test_slices_are_cut_along_the_coarsest_axis_and_ties_go_to_z(tmp_path, zooms, axis):
    path = write_nifti(tmp_path / "in.nii", intensities(0), affine=np.diag([*map(float, zooms), 1.0]), zooms=zooms)
    assert read_volume(path).slice_axis == axis


def test_a_mask_of_another_shape_does_not_fit(scan):
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        read_volume(scan).like(np.zeros((1, 2, 3)))


def test_masks_are_written_as_uint8_and_images_as_float32(scan, tmp_path):
    volume = read_volume(scan)
    write_volume(volume.like(np.full(volume.array.shape, 3, dtype=np.int64)), tmp_path / "mask.nii.gz")
    write_volume(volume.like(volume.array + 0.25), tmp_path / "image.nii")
    assert nib.load(tmp_path / "mask.nii.gz").get_data_dtype() == np.uint8
    image = nib.load(tmp_path / "image.nii")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj), intensities(0) + 0.25)


def test_a_mask_does_not_inherit_the_scaling_of_its_scan(tmp_path):
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header.set_slope_inter(0.5, -100)
    nib.save(image, tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    np.testing.assert_allclose(volume.array, nib.load(tmp_path / "scan.nii").get_fdata(), rtol=1e-6)
    write_volume(volume.like(structures(0)), tmp_path / "mask.nii")
    np.testing.assert_array_equal(nib.load(tmp_path / "mask.nii").get_fdata(), structures(0))


def test_the_same_volume_gives_the_same_bytes(scan, tmp_path):
    volume = read_label(scan)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(volume, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second
    assert first[4:8] == bytes(4), "gzip's field for the time of compression"


def test_label_integers_are_kept_exactly(tmp_path):
    values = np.array([0, 1, 255, 16_777_217]).reshape(1, 2, 2)
    path = write_nifti(tmp_path / "label.nii", values.astype(np.int32))
    assert sorted(read_label(path).array.ravel().tolist()) == [0, 1, 255, 16_777_217]
    whole = read_label(write_nifti(tmp_path / "float.nii", structures(0).astype(np.float64)))
    assert whole.array.dtype == np.uint8


def test_a_label_with_fractions_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"1 voxels like 0\.5; expected whole numbers"):
        read_label(write_nifti(tmp_path / "label.nii", np.array([[[0, 0.5, 1]]], dtype=np.float32)))


def test_bytes_and_nifti2_are_read_like_files(scan, tmp_path):
    np.testing.assert_array_equal(volume_from_bytes(scan.read_bytes(), "x").array, read_volume(scan).array)
    bare = gzip.decompress(scan.read_bytes())
    np.testing.assert_array_equal(volume_from_bytes(bare, "x").array, read_volume(scan).array)
    nib.save(nib.Nifti2Image(intensities(0), np.eye(4)), tmp_path / "two.nii.gz")
    volume = read_volume(tmp_path / "two.nii.gz")
    write_volume(volume, tmp_path / "out.nii.gz")
    assert isinstance(nib.load(tmp_path / "out.nii.gz"), nib.Nifti2Image)
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").get_fdata(), intensities(0))


def test_a_fourth_axis_of_one_is_dropped_and_a_longer_one_refused(tmp_path):
    nib.save(nib.Nifti1Image(intensities(0)[..., None], np.eye(4)), tmp_path / "one.nii")
    nib.save(nib.Nifti1Image(intensities(0, (4, 4, 4, 2)), np.eye(4)), tmp_path / "two.nii")
    assert read_volume(tmp_path / "one.nii").array.shape == (8, 6, 4)
    with pytest.raises(InputError, match=r"two\.nii: shape 4x4x4x2; expected a 3-D volume"):
        read_volume(tmp_path / "two.nii")


def test_case_ids_drop_the_ending_and_the_channel(tmp_path):
    assert read_volume(write_nifti(tmp_path / "p1_0000.nii.gz", intensities(0))).case_id == "p1"
    assert read_volume(write_nifti(tmp_path / "p.1.nii", intensities(0))).case_id == "p.1"


def test_an_image_and_its_label_are_read_together(tmp_path):
    image = write_nifti(tmp_path / "image.nii.gz", intensities(0))
    label = write_nifti(tmp_path / "label.nii.gz", structures(0))
    scan, mask = read_pair(image, label, "p1")
    assert (scan.case_id, mask.case_id, scan.array.dtype, mask.array.dtype) == ("p1", "p1", np.float32, np.uint8)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"array": structures(0, (8, 6, 5))},
            r"label\.nii\.gz: shape \[8, 6, 5\]; expected .*image\.nii\.gz, \[8, 6, 4\]",
        ),
        ({"zooms": (1.5, 1.5, 9)}, r"spacing \[1\.5, 1\.5, 9\.0\]; expected .* \[1\.5, 1\.5, 8\.0\]"),
        ({"affine": np.diag([1.0, -1, 1, 1])}, r"affine \[\[1\.0, .*; expected .* \[\[-1\.0"),
        ({"affine": np.array([[-1, 0, 0, 2], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])}, r"affine .*2\.0\]"),
    ],
)
def test_a_label_on_another_grid_than_its_image_is_refused_with_both_values(tmp_path, change, sentence):
    image = write_nifti(tmp_path / "image.nii.gz", intensities(0))
    label = write_nifti(tmp_path / "label.nii.gz", **{"array": structures(0), **change})
    with pytest.raises(InputError, match=sentence):
        read_pair(image, label)


SIDES = (0.8, 1.7, 6.0)


def oblique(*, shear: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", [12, -9, 25], degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.diag([-1.0, -1, 1]) @ np.diag(SIDES) + shear * np.eye(3, k=1)
    affine[:3, 3] = -90, 120, -40
    return affine


def placed_scan(path: Path, affine: np.ndarray, *, sform: int, qform: int) -> Path:
    image = nib.Nifti1Image(intensities(0), affine)
    image.set_sform(affine if sform else None, sform)
    image.set_qform(affine if qform else None, qform)
    nib.save(image, path)
    return path


def mask_of(path: Path) -> nib.Nifti1Image:
    volume = read_volume(path)
    target = path.with_name("mask.nii.gz")
    write_volume(volume.like((volume.array > 500).astype(np.int64)), target)
    return nib.load(target)


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 2), (4, 0)])
def test_both_placements_are_there_and_say_the_same(tmp_path: Path, sform: int, qform: int) -> None:
    path = placed_scan(tmp_path / "scan.nii.gz", oblique(), sform=sform, qform=qform)
    mask = mask_of(path)
    code = sform or qform
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (code, code)
    np.testing.assert_allclose(mask.get_sform(), oblique(), atol=1e-4)
    np.testing.assert_allclose(mask.get_qform(), oblique(), atol=1e-4)
    assert mask.header.get_zooms() == nib.load(path).header.get_zooms()
    read_pair(path, path.with_name("mask.nii.gz"))


@pytest.mark.parametrize("shear", [0.0, 0.5])
def test_where_both_can_not_say_the_same_the_masks_are_the_scans(tmp_path: Path, shear: float) -> None:
    # As in ACDC, whose affines hold no voxel size; and one that is sheared, which no qform can be.
    affine, sides = (oblique(shear=shear), SIDES) if shear else (np.diag([-1.0, -1, 1, 1]), (1.5, 1.5, 10.0))
    path = write_nifti(tmp_path / "scan.nii.gz", intensities(0), affine=affine, zooms=sides)
    before, after = nib.load(path).header, mask_of(path).header
    for field in ("sform_code", "qform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(after[field], before[field])


def test_a_scan_without_a_place_has_a_mask_without_one(tmp_path: Path) -> None:
    header = mask_of(placed_scan(tmp_path / "scan.nii", np.diag([*SIDES, 1.0]), sform=0, qform=0)).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    assert header.get_zooms() == pytest.approx(SIDES)


@pytest.mark.parametrize(("unit", "expected"), [("unknown", "mm"), ("mm", "mm"), ("micron", "micron")])
def test_units_are_millimetres_where_the_scan_tells_none(tmp_path: Path, unit: str, expected: str) -> None:
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "scan.nii")
    assert mask_of(tmp_path / "scan.nii").header.get_xyzt_units() == (expected, "sec")


def test_a_mask_is_of_classes_in_whole_numbers_and_silent_about_the_person(tmp_path: Path) -> None:
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header["descrip"], image.header["db_name"] = b"DOE^JANE 1961-02-03", b"Jane Doe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"PatientName=DOE^JANE"))
    nib.save(image, tmp_path / "scan.nii")
    mask = mask_of(tmp_path / "scan.nii")
    assert mask.get_data_dtype() == np.uint8
    assert mask.header.get_intent()[0] == "label"
    assert b"DOE" not in (tmp_path / "mask.nii.gz").read_bytes() + mask.to_bytes()
    assert b"Jane" not in mask.to_bytes()
    np.testing.assert_array_equal(np.asarray(mask.dataobj), nib.load(tmp_path / "scan.nii").get_fdata() > 500)
    # The scan in memory still has what its file has.
    assert len(read_volume(tmp_path / "scan.nii").source.header.extensions) == 1


def test_monai_reads_scan_and_mask_onto_one_grid(tmp_path: Path) -> None:
    path = placed_scan(tmp_path / "scan.nii.gz", oblique(), sform=1, qform=0)
    mask_of(path)
    load = LoadImage(ensure_channel_first=True)
    image, mask = load(path), load(path.with_name("mask.nii.gz"))
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(mask), np.asarray(image) > 500)


def test_a_nifti2_scan_has_a_nifti2_mask(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(structures(0), oblique()), tmp_path / "scan.nii")
    mask = mask_of(tmp_path / "scan.nii")
    assert isinstance(mask, nib.Nifti2Image)
    assert mask.header.get_intent()[0] == "label"
