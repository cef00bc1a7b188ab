"""Read 2-D pictures and masks (PNG, JPEG, BMP, TIFF); write PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from sss_model.errors import InputError
from sss_model.files import write_atomically

LOSSY = (".jpg", ".jpeg")
PICTURE_ENDINGS = (".png", *LOSSY, ".bmp", ".tif", ".tiff")
NO_SPACING = "Pictures carry no pixel size: a pixel counts as 1 mm, so that distances are in pixels."
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_GREY = {"1", "L", "I", "I;16", "I;16B"}


def read_picture(path: Path) -> np.ndarray:
    """Read a grey (H, W) uint8 or uint16 or a colour (H, W, 3) uint8 picture.

    Raises:
        InputError: not a picture, or a damaged one.
    """
    picture = _opened(path)
    if picture.mode in _GREY:
        return _unsigned(np.asarray(picture), path)
    return np.asarray(picture.convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """Read a mask's values (H, W): grey values, palette indices, or the one value that its three colours share.

    Raises:
        InputError: not a picture, a damaged one, or one whose colours differ.
    """
    picture = _opened(path)
    if picture.mode in _GREY | {"P"}:
        return _unsigned(np.asarray(picture), path)
    array = np.asarray(picture.convert("RGB"))
    if (array != array[..., :1]).any():
        raise InputError(f"{path}: a colour picture as a mask; expected grey values or palette indices")
    return array[..., 0]


def write_picture(array: np.ndarray, path: Path) -> None:
    """Write (H, W) or (H, W, 3) as PNG; the same array gives the same bytes."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    write_atomically(path, stream.getvalue())


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            picture.load()
            return picture
    except (OSError, SyntaxError, ValueError):
        raise InputError(f"{path}: not a readable picture; expected a complete {', '.join(_FORMATS)} file") from None


def _unsigned(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.min() < 0 or array.max() > 65535:
        raise InputError(f"{path}: values from {array.min()} to {array.max()}; expected 0 to 65535")
    return array if array.dtype == np.uint8 else array.astype(np.uint16)
