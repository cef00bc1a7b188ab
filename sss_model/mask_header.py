"""The NIfTI header of a mask: its scan's grid, said in every way in which a program may ask for it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

_UNIT_BITS, _MILLIMETRES = 7, 2
_LABEL = 1002
"""NIFTI_INTENT_LABEL: voxels are numbers of classes."""


def mask_header(header: nib.Nifti1Header) -> nib.Nifti1Header:
    """The header for a mask on the grid of a scan.

    Programs differ in which of NIfTI's two placements they believe, sform or qform. A scan that has one gets a mask
    that has both, with the same code, where both can say the same; otherwise the mask's are exactly the scan's, so
    that every program puts the mask where it puts the scan. Units that are not told are millimetres. What the scan's
    header tells in words, which may be about a person, stays with the scan.
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
