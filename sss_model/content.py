"""Whether files are those that a manifest names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.manifest import Case


def check_content(cases: Sequence[Case], data_dir: Path) -> None:
    """Refuse scans that are not the manifest's, since nothing that was said of those holds for them.

    Raises:
        InputError: an image or a label is missing, or has other bytes than the manifest says.
    """
    for case in cases:
        for name, expected in ((case.image, case.image_sha256), (case.label, case.label_sha256)):
            check_file(case.case, data_dir / str(name), expected)


def check_file(case: str, path: Path, expected: str | None) -> None:
    """Refuse one of a case's files if its SHA-256 is not the manifest's; raises `InputError`."""
    if not path.is_file():
        raise InputError(f"case {case}: no file {path}; expected what the manifest names")
    if sha256(path) != expected:
        raise InputError(
            f"case {case}: {path} has other content than the manifest says; "
            "expected the same data, or a manifest made anew (sss version-data)"
        )
