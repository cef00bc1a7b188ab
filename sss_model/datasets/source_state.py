"""Whether a source is still what it was, told without reading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sss_model.datasets.walk import files_below


def state_of(source: Path) -> str:
    """A name for what lies there: other files, or the same ones changed, are another state.

    Args:
        source: a folder, a file, or nothing; files are known by their names, sizes and times.
    """
    digest = hashlib.sha256(str(source.resolve()).encode())
    for path in [source] if source.is_file() else files_below(source):
        if path.is_file():
            facts = path.stat()
            digest.update(f"\n{path.relative_to(source)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()
