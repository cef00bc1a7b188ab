"""How large a stranger's file may be, told from its header before the rest of it is expanded."""

from __future__ import annotations

import gzip
import io
import math
import zlib

import nibabel as nib
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from PIL import Image

from sss_model.errors import InputError
from sss_model.formats import PNG_SIGNATURE

_HEADERS = 1 << 20  # bytes before the voxels: a NIfTI-2 header takes 544, its extensions rarely much more


def within_limit(data: bytes, where: str, *, most: int) -> bytes:
    """A file's bytes, a NIfTI file's without its compression.

    No more is expanded than the header promises. A file that is none of ours passes as it is, for who decodes it to
    say so.

    Args:
        data: of a .nii, .nii.gz or .png file.
        where: opens the sentence of an error.
        most: how many voxels it may have.

    Raises:
        InputError: it promises more voxels, or its compression is damaged.
    """
    if data.startswith(PNG_SIGNATURE):
        refuse_more(_pixels(data, where), where, most=most)
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
    """Raise an `InputError` where there are more voxels than `most`."""
    if voxels > most:
        raise InputError(f"{where}: {voxels} voxels; expected at most {most}")


def _voxels(head: bytes) -> tuple[int, int]:
    """How many voxels a NIfTI header promises, and in how many bytes of file; nothing where it is none."""
    second = nib.Nifti2Header.sizeof_hdr
    kind = nib.Nifti2Header if head[:4] in (second.to_bytes(4, "little"), second.to_bytes(4, "big")) else None
    try:
        header = (kind or nib.Nifti1Header).from_fileobj(io.BytesIO(head), check=False)
        voxels = math.prod(max(0, int(side)) for side in header.get_data_shape())
        return voxels, _HEADERS + voxels * header.get_data_dtype().itemsize
    except (ValueError, OverflowError, OSError, HeaderDataError, WrapStructError):
        return 0, 0


def _pixels(data: bytes, where: str) -> int:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            return math.prod(picture.size)
    except Image.DecompressionBombError:
        raise InputError(f"{where}: more pixels than any picture has; expected a photograph") from None
    except (OSError, SyntaxError, ValueError):
        return 0
