"""``SHA256SUMS``: what a folder holds, by hash, as ``sha256sum --check`` reads it."""

from __future__ import annotations

from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically

FILE = "SHA256SUMS"


def write_sums(folder: Path) -> str:
    """Write the hashes of all files of a folder into it; returns the hash of these hashes."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(_hashes(folder).items())]
    write_atomically(folder / FILE, "".join(lines).encode())
    return sha256(folder / FILE)


def changed_since(folder: Path) -> list[str]:
    """A sentence for each file that is not as the folder's ``SHA256SUMS`` says, is missing, or is not in there.

    Raises:
        InputError: there is no ``SHA256SUMS``, or it is none.
    """
    expected, found = _read(folder / FILE), _hashes(folder)
    sentences = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            sentences.append(f"{name}: missing; expected a file with SHA-256 {expected[name]}, as registered")
        elif name not in expected:
            sentences.append(f"{name}: was added; expected no such file, as registered")
        elif expected[name] != found[name]:
            sentences.append(f"{name}: changed, SHA-256 {found[name]}; expected {expected[name]}, as registered")
    return sentences


def _hashes(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the hashes of what lies beside it") from None
    except UnicodeDecodeError:
        lines = [""]
    pairs = [line.split("  ", 1) for line in lines]
    if any(len(pair) != 2 or len(pair[0]) != 64 for pair in pairs):
        raise InputError(f"{path}: can't be read; expected lines as sha256sum writes them")
    return {name: digest for digest, name in pairs}
