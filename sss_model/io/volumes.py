"""Volumes: canonical orientation inside, the file's own grid outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.formats import (
    PNG_SIGNATURE,
    decode_colour,
    decode_nifti,
    decode_png,
    encode_nifti,
    encode_png,
    ending_of,
)

_UNIT_BITS, _MILLIMETRES = 7, 2
_LABEL = 1002
"""NIFTI_INTENT_LABEL: voxels are numbers of classes."""
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""By NIfTI's codes of metres and micrometres, the low three bits of xyzt_units; any other means millimetres."""


class NotFiniteError(InputError):
    """A file can be read and holds voxels that are NaN or infinite."""


@dataclass(frozen=True, eq=False)
class SourceGrid:
    """A file's own grid: what is needed to write other voxels onto it.

    Attributes:
        header: the file's NIfTI header.
        affine: (4, 4) float64, voxel (i, j, k) of the file to world, in the header's unit.
        shape: voxels per stored axis.
    """

    header: nib.Nifti1Header
    affine: np.ndarray
    shape: tuple[int, int, int]

    @property
    def orientation(self) -> str:
        """Direction in which each stored axis grows, e.g. ``LPS``."""
        return "".join(aff2axcodes(self.affine))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres per stored axis, from the header's zooms: an affine may carry none (ACDC's don't)."""
        factor = _MM_PER_UNIT.get(int(self.header["xyzt_units"]) % 8, 1.0)
        # The shortest decimal the header's float32 stands for: 1.4, not 1.399999976.
        first, second, third = (float(str(zoom)) * factor for zoom in self.header.get_zooms()[:3])
        return first, second, third


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels in canonical (RAS+) orientation.

    Attributes:
        array: (X, Y, Z), growing to the right, to the front and upwards.
        affine: (4, 4) float64, voxel (x, y, z) of `array` to world.
        spacing: millimetres per axis of `array`.
        case_id: the case it belongs to.
        source: the grid of the file it came from.
        colour: (X, Y, Z, 3) float32 red, green and blue of a coloured PNG, whose luminance is in `array`; else None.
    """

    array: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, float, float]
    case_id: str
    source: SourceGrid
    colour: np.ndarray | None = None

    def like(self, array: np.ndarray) -> Volume:
        """Other voxels, say a mask, on this volume's grid; `array` is (X, Y, Z) like ours."""
        if array.shape != self.array.shape:
            raise ValueError(f"{self.case_id}: an array of shape {array.shape} on a grid of {self.array.shape}")
        return replace(self, array=array, colour=None)

    @property
    def slice_axis(self) -> int:
        """Axis with the coarsest spacing, along which the scan was cut; ties within 1 % go to Z."""
        coarsest = max(self.spacing)
        return max(axis for axis in range(3) if self.spacing[axis] >= 0.99 * coarsest)


def read_volume(path: Path, case_id: str | None = None) -> Volume:
    """Read an image.

    Args:
        path: .nii, .nii.gz (3-D, or with trailing axes of length 1) or .png (colour becomes luminance, and is kept).
        case_id: its case; by default the file's name, without ending and channel number.

    Returns:
        A volume with a float32 array.

    Raises:
        InputError: missing, truncated, not what its name says, not 3-D, empty, with a non-invertible affine, or with
            voxels that are NaN or infinite.
    """
    array, header = _decode(path, label=False)
    volume = _canonical(_intensities(array, str(path)), header, str(path), case_id or case_name(path))
    return _with_colour(volume, path.read_bytes(), str(path)) if ending_of(path) == ".png" else volume


def read_label(path: Path, case_id: str | None = None) -> Volume:
    """Read a label map, whose integers are kept exactly; raises `InputError` like `read_volume`, and for fractions."""
    array, header = _decode(path, label=True)
    return _canonical(_whole_numbers(array, str(path)), header, str(path), case_id or case_name(path))


def read_pair(image: Path, label: Path, case_id: str | None = None) -> tuple[Volume, Volume]:
    """Read an image and its label map; raises `InputError` where shape, voxel size or affine differ."""
    scan = read_volume(image, case_id)
    mask = read_label(label, scan.case_id)
    ours, theirs = scan.source, mask.source
    differences = (
        ("shape", ours.shape, theirs.shape, ours.shape == theirs.shape),
        ("spacing", ours.spacing, theirs.spacing, np.allclose(ours.spacing, theirs.spacing, rtol=1e-3)),
        ("affine", ours.affine[:3], theirs.affine[:3], np.allclose(ours.affine, theirs.affine, rtol=1e-4, atol=1e-3)),
    )
    for what, expected, found, same in differences:
        if not same:
            raise InputError(
                f"{label}: {what} {np.array(found).tolist()}; expected that of its image {image}, "
                f"{np.array(expected).tolist()}"
            )
    return scan, mask


def volume_from_bytes(data: bytes, case_id: str) -> Volume:
    """Read an image from the bytes of a .nii, .nii.gz or .png file; raises `InputError` like `read_volume`."""
    if data.startswith(PNG_SIGNATURE):
        array, header = decode_png(data, case_id, label=False)
        return _with_colour(_canonical(_intensities(array, case_id), header, case_id, case_id), data, case_id)
    array, header = decode_nifti(data, case_id)
    return _canonical(_intensities(array, case_id), header, case_id, case_id)


def volume_from_array(array: np.ndarray, spacing: tuple[float, float, float], case_id: str) -> Volume:
    """An image from voxels (X, Y, Z) that grow to the right, to the front and upwards, `spacing` mm apart.

    Raises:
        InputError: not three axes, empty, voxels that are no finite real numbers, or a spacing that is not positive.
    """
    if array.dtype.kind not in "biuf":
        raise InputError(f"{case_id}: an array of {array.dtype}; expected integers or floating-point numbers")
    if array.ndim != 3 or not array.size:
        shape = "x".join(map(str, array.shape)) or "of a single number"
        raise InputError(f"{case_id}: an array of shape {shape}; expected three axes, X, Y and Z, with voxels")
    if not all(np.isfinite(mm) and mm > 0 for mm in spacing):
        raise InputError(f"{case_id}: spacing {'x'.join(map(str, spacing))} mm; expected three positive numbers")
    values = _intensities(array, case_id)
    return _canonical(values, nib.Nifti1Image(values, np.diag([*spacing, 1.0])).header, case_id, case_id)


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume on its source's grid, with that file's affine, voxel size and units.

    Whole numbers (masks) take the smallest integer type that holds them (uint8 for up to 256 classes) and a header that
    other programs read alike (see `mask_header`), others float32 and the scan's header.
    The same volume gives the same bytes. `path` ends in .nii, .nii.gz or, for a single slice, .png.

    Raises:
        InputError: unknown ending, or a volume that doesn't fit a PNG.
        OSError: full disk and the like; nothing is left half-written.
    """
    write_atomically(path, volume_to_bytes(volume, ending_of(path), str(path)))


def volume_to_bytes(volume: Volume, ending: str, where: str) -> bytes:
    """What `write_volume` writes into a file with one of its endings; `where` opens the sentence of an `InputError`."""
    array = on_source_grid(volume)
    if ending == ".png":
        return encode_png(_whole_numbers(array, where), where)
    is_mask = array.dtype.kind in "iub"
    stored = _smallest(array) if is_mask else array.astype(np.float32)
    header = mask_header(volume.source.header) if is_mask else volume.source.header
    return encode_nifti(stored, header, compress=ending == ".nii.gz")


def mask_header(header: nib.Nifti1Header) -> nib.Nifti1Header:
    """The header for a mask on the grid of a scan.

    Programs differ in which of NIfTI's two placements they believe, sform or qform. A scan that has one gets a mask
    that has both, with the same code, where both can say the same; otherwise the mask's are exactly the scan's, so
    that every program puts the mask where it puts the scan. Unknown units are millimetres. Text in the scan's header,
    which may be about a person, is not copied.
    """
    header = header.copy()
    _complete_placement(header)
    if int(header["xyzt_units"]) & _UNIT_BITS == 0:
        header["xyzt_units"] = int(header["xyzt_units"]) | _MILLIMETRES
    header["intent_code"], header["intent_name"] = _LABEL, b""
    header["intent_p1"] = header["intent_p2"] = header["intent_p3"] = 0
    for field in ("descrip", "aux_file", "data_type", "db_name"):
        if field in header.keys():  # noqa: SIM118  (a header is no dictionary)
            header[field] = b""
    header.extensions = type(header.extensions)()
    header["vox_offset"] = 0
    return header


def _complete_placement(header: nib.Nifti1Header) -> None:
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if qform and not sform:
        header.set_sform(header.get_qform(), code=qform)
    elif sform and not qform and _is_a_qform(header):
        sides = header["pixdim"][1:4].copy()
        header.set_qform(header.get_sform(), code=sform)
        header["pixdim"][1:4] = sides


def _is_a_qform(header: nib.Nifti1Header) -> bool:
    """Whether the sform is a rotation of voxels of the header's own size: a qform can say no more."""
    trial = header.copy()
    try:
        trial.set_qform(header.get_sform(), code=1, strip_shears=False)
    except HeaderDataError:
        return False
    same_sides = np.allclose(trial["pixdim"][1:4], header["pixdim"][1:4], rtol=1e-3)
    return bool(same_sides and np.allclose(trial.get_qform(), header.get_sform(), rtol=1e-4, atol=1e-3))


def on_source_grid(volume: Volume) -> np.ndarray:
    """The voxels (i, j, k) along the axes of the file or array that the volume came from."""
    back = ornt_transform(axcodes2ornt("RAS"), io_orientation(volume.source.affine))
    return apply_orientation(volume.array, back)


def case_name(path: Path) -> str:
    """A file's name without its ending and without nnU-Net's channel number ``_0000``."""
    return path.name.removesuffix(ending_of(path)).removesuffix("_0000")


def _decode(path: Path, *, label: bool) -> tuple[np.ndarray, nib.Nifti1Header]:
    ending = ending_of(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a volume") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); expected a volume") from None
    return decode_png(data, str(path), label=label) if ending == ".png" else decode_nifti(data, str(path))


def _canonical(array: np.ndarray, header: nib.Nifti1Header, where: str, case_id: str) -> Volume:
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError(f"{where}: affine {affine[:3].tolist()} can't be inverted; expected one that places voxels")
    first, second, third = array.shape
    source = SourceGrid(header, affine, (first, second, third))
    orientation = io_orientation(affine)
    spacing = np.empty(3)
    spacing[orientation[:, 0].astype(int)] = source.spacing
    return Volume(
        array=np.ascontiguousarray(apply_orientation(array, orientation)),
        affine=affine @ inv_ornt_aff(orientation, source.shape),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        case_id=case_id,
        source=source,
    )


def _with_colour(volume: Volume, data: bytes, where: str) -> Volume:
    colour = decode_colour(data, where)
    if colour is None:
        return volume
    turned = apply_orientation(colour.astype(np.float32), io_orientation(volume.source.affine))
    return replace(volume, colour=np.ascontiguousarray(turned))


def _intensities(array: np.ndarray, where: str) -> np.ndarray:
    array = array.astype(np.float32)
    broken = array.size - np.count_nonzero(np.isfinite(array))
    if broken:
        raise NotFiniteError(
            f"{where}: {broken} of {array.size} voxels are NaN or infinite; expected finite intensities"
        )
    return array


def _whole_numbers(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind == "f":
        _intensities(array, where)
        fractions = array[array != np.rint(array)]
        if fractions.size:
            raise InputError(f"{where}: {fractions.size} voxels like {fractions[0]}; expected whole numbers")
        array = array.astype(np.int64)
    return _smallest(array)


def _smallest(array: np.ndarray) -> np.ndarray:
    kind = np.result_type(np.uint8, np.min_scalar_type(array.min()), np.min_scalar_type(array.max()))
    return array.astype(kind)
