"""``SHA256SUMS``: the hashes of a folder's files, in the form that ``sha256sum --check`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically

SUMS_FILE = "SHA256SUMS"


def hash_folder(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path in there; of its ``SHA256SUMS`` none."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS_FILE)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def sums_text(hashes: Mapping[str, str]) -> str:
    """The content of ``SHA256SUMS``, sorted by name.

    >>> print(sums_text({"b": "22", "a": "11"}), end="")
    11  a
    22  b
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))


def write_sums(folder: Path) -> str:
    """Write a folder's ``SHA256SUMS`` into it; returns the hash of that file."""
    write_atomically(folder / SUMS_FILE, sums_text(hash_folder(folder)).encode())
    return sha256(folder / SUMS_FILE)


def changed_since(folder: Path) -> list[str]:
    """A sentence for each file that differs from the folder's ``SHA256SUMS``, is missing, or is not listed there.

    Raises:
        InputError: there is no ``SHA256SUMS``, or it can't be read.
    """
    expected, found = _read_sums(folder / SUMS_FILE), hash_folder(folder)
    sentences = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            sentences.append(f"{name}: missing; expected a file with SHA-256 {expected[name]}, as registered")
        elif name not in expected:
            sentences.append(f"{name}: was added; expected no such file, as registered")
        elif expected[name] != found[name]:
            sentences.append(f"{name}: changed, SHA-256 {found[name]}; expected {expected[name]}, as registered")
    return sentences


def _read_sums(path: Path) -> dict[str, str]:
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
