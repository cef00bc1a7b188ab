"""NIfTI and PNG bytes to voxels on the file's own grid, and back.

A PNG has no geometry: it becomes a volume one slice thick of 1 mm voxels, axes (X, Y, 1) = (column, row, slice).
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from PIL import Image

from sss_model.errors import InputError
from sss_model.io import FILE_ENDINGS

_HEADERS = 1 << 20
"""Bytes before the voxels: a NIfTI-2 header takes 544, its extensions rarely much more."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = {"1", "L", "I", "I;16"}


def ending_of(path: Path) -> str:
    """The one of `FILE_ENDINGS` that a file has; raises `InputError` for any other."""
    for ending in FILE_ENDINGS:
        if path.name.endswith(ending):
            return ending
    raise InputError(f"{path}: unknown kind of file; expected a name ending in {', '.join(FILE_ENDINGS)}")


def decode_nifti(data: bytes, where: str) -> tuple[np.ndarray, nib.Nifti1Header]:
    """Voxels (i, j, k) on the stored grid, scaled as the header says, and the header.

    Args:
        data: a NIfTI-1 or NIfTI-2 file, gzip-compressed or not.
        where: opens the error message.

    Raises:
        InputError: not NIfTI, truncated, without voxels, not 3-D, or with voxels or zooms that are no numbers.
    """
    data = _decompressed(data, where)
    image_class = _image_class(data)
    try:
        image = image_class.from_bytes(data)
        header = image.header
        kind = header.get_data_dtype()
        stored = image_class.header_class.from_fileobj(io.BytesIO(data), check=False)
    except (ValueError, OSError, HeaderDataError, ImageFileError, WrapStructError):
        raise InputError(f"{where}: not a NIfTI file; expected .nii or .nii.gz data") from None
    _check_promises(stored, kind, len(data), where)
    # nibabel silently repairs a zoom of zero to 1 mm, so the check needs the header as stored.
    _check_zooms(np.abs(stored["pixdim"][1:4]), where)
    return _three_axes(np.asanyarray(image.dataobj), where), header


def encode_nifti(array: np.ndarray, header: nib.Nifti1Header, *, compress: bool) -> bytes:
    """The reverse of `decode_nifti`: `array` (i, j, k) with the geometry of `header`; the same bytes every time."""
    header = header.copy()
    header.set_data_dtype(array.dtype)
    header["cal_min"] = header["cal_max"] = 0
    image_class = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    data = image_class(array, None, header).to_bytes()
    return gzip.compress(data, mtime=0) if compress else data


def decode_png(data: bytes, where: str, *, label: bool) -> tuple[np.ndarray, nib.Nifti1Header]:
    """Pixels (X, Y, 1) and a header of 1 mm voxels; colour becomes luminance, a label's palette stays indices."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            pixels = _pixels(picture, where, label=label)
    except (OSError, SyntaxError, zlib.error):
        raise InputError(f"{where}: not a readable PNG file; expected a complete picture") from None
    array = pixels.T[:, :, np.newaxis]
    # Columns run to the patient's left and rows to the back, as a radiologist looks at a slice.
    return array, nib.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0])).header


def decode_colour(data: bytes, where: str) -> np.ndarray | None:
    """Red, green and blue (X, Y, 1, 3) uint8 of a PNG, on the grid of `decode_png`; None where it is grey."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            pixels = None if picture.mode in _GREY else np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, zlib.error):
        raise InputError(f"{where}: not a readable PNG file; expected a complete picture") from None
    return None if pixels is None else pixels.swapaxes(0, 1)[:, :, np.newaxis]


def encode_png(array: np.ndarray, where: str) -> bytes:
    """The reverse of `decode_png`, 8 or 16 bits a pixel; raises `InputError` for more than one slice."""
    if array.shape[2] != 1 or array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"{where}: a volume of shape {'x'.join(map(str, array.shape))} and type {array.dtype} "
            "does not fit a PNG; expected one slice of whole numbers from 0 to 65535"
        )
    stream = io.BytesIO()
    Image.fromarray(array[:, :, 0].T).save(stream, format="PNG")
    return stream.getvalue()


def within_limit(data: bytes, where: str, *, most: int) -> bytes:
    """Check a file's size by its header before expanding the rest; return its bytes, a NIfTI file's uncompressed.

    No more is expanded than the header promises. A file of another kind passes unchanged: decoding it raises.

    Args:
        data: of a .nii, .nii.gz or .png file.
        where: opens the error message.
        most: how many voxels it may have.

    Raises:
        InputError: it promises more voxels, or its compression is damaged.
    """
    if data.startswith(PNG_SIGNATURE):
        refuse_more(_declared_pixels(data, where), where, most=most)
        return data
    if not data.startswith(b"\x1f\x8b"):
        refuse_more(_voxels(data[:_HEADERS])[0], where, most=most)
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        try:
            voxels, size = _voxels(head := stream.read(_HEADERS))
            refuse_more(voxels, where, most=most)
            # One byte more than there should be, so that gzip meets the end and compares its checksum.
            return head + stream.read(max(1, size + 1 - len(head)))
        except (EOFError, OSError, zlib.error):
            raise InputError(
                f"{where}: its compressed data is damaged or ends early; expected an intact gzip file"
            ) from None


def refuse_more(voxels: int, where: str, *, most: int) -> None:
    """Raise `InputError` for more voxels than `most`."""
    if voxels > most:
        raise InputError(f"{where}: {voxels} voxels; expected at most {most}")


def _decompressed(data: bytes, where: str) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise InputError(f"{where}: truncated, its compressed data ends early; expected a complete file") from None
    except (OSError, zlib.error):
        raise InputError(f"{where}: its compressed data is damaged; expected an intact gzip file") from None


def _image_class(data: bytes) -> type[nib.Nifti1Image]:
    size = nib.Nifti2Header.sizeof_hdr
    is_second = data[:4] in (size.to_bytes(4, "little"), size.to_bytes(4, "big"))
    return nib.Nifti2Image if is_second else nib.Nifti1Image


def _check_promises(header: nib.Nifti1Header, kind: np.dtype, size: int, where: str) -> None:
    shape = header.get_data_shape()
    if kind.kind not in "iuf":
        raise InputError(f"{where}: voxels of type {kind}; expected integers or floating-point numbers")
    if not shape or min(shape) < 1:
        raise InputError(f"{where}: empty, its shape is {'x'.join(map(str, shape))}; expected at least one voxel")
    promised = header.get_data_offset() + math.prod(shape) * kind.itemsize
    if size < promised:
        raise InputError(f"{where}: truncated, {size} bytes of data; expected the {promised} its header promises")


def _check_zooms(zooms: np.ndarray, where: str) -> None:
    if not (np.isfinite(zooms) & (zooms > 0)).all():
        raise InputError(f"{where}: voxel size {'x'.join(map(str, zooms))}; expected three positive numbers")


def _three_axes(array: np.ndarray, where: str) -> np.ndarray:
    three = array
    while three.ndim > 3 and three.shape[-1] == 1:
        three = three[..., 0]
    if three.ndim != 3:
        raise InputError(f"{where}: shape {'x'.join(map(str, array.shape))}; expected a 3-D volume")
    return three


def _pixels(picture: Image.Image, where: str, *, label: bool) -> np.ndarray:
    if label and picture.mode not in _GREY | {"P"}:
        raise InputError(f"{where}: a {picture.mode} picture as a label; expected grey values or palette indices")
    if picture.mode in _GREY or label:
        return np.asarray(picture)
    return np.asarray(picture.convert("L"))


def _voxels(head: bytes) -> tuple[int, int]:
    """Voxels that a NIfTI header promises, and bytes of the file; (0, 0) where it is no NIfTI header."""
    second = nib.Nifti2Header.sizeof_hdr
    kind = nib.Nifti2Header if head[:4] in (second.to_bytes(4, "little"), second.to_bytes(4, "big")) else None
    try:
        header = (kind or nib.Nifti1Header).from_fileobj(io.BytesIO(head), check=False)
        voxels = math.prod(max(0, int(side)) for side in header.get_data_shape())
        return voxels, _HEADERS + voxels * header.get_data_dtype().itemsize
    except (ValueError, OverflowError, OSError, HeaderDataError, WrapStructError):
        return 0, 0


def _declared_pixels(data: bytes, where: str) -> int:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            return math.prod(picture.size)
    except Image.DecompressionBombError:
        raise InputError(f"{where}: more pixels than any picture has; expected a photograph") from None
    except (OSError, SyntaxError, ValueError):
        return 0
