"""What lies in an image's layers, whatever a later layer deleted or covered."""

from __future__ import annotations

import tarfile
import tempfile
from typing import IO, NamedTuple

from docker.models.images import Image


class Layers(NamedTuple):
    """Paths in all layers, and the names of those files, in layers or about them, that hold the secret."""

    paths: set[str]
    holding_the_secret: list[str]


def look_through(image: Image, secret: bytes) -> Layers:
    found = Layers(set(), [])
    with tempfile.TemporaryFile() as saved:
        for chunk in image.save():
            saved.write(chunk)
        saved.seek(0)
        with tarfile.open(fileobj=saved) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content:
                    _look_into(member.name, content, secret, found)
    return found


def _look_into(name: str, content: IO[bytes], secret: bytes, found: Layers) -> None:
    """A layer is an archive of its own; all else in a saved image is JSON."""
    try:
        layer = tarfile.open(fileobj=content)  # noqa: SIM115
    except tarfile.ReadError:
        content.seek(0)
        if secret in content.read():
            found.holding_the_secret.append(name)
        return
    for member in layer:
        found.paths.add(member.name)
        file = layer.extractfile(member) if member.isreg() else None
        if file and secret in file.read():
            found.holding_the_secret.append(member.name)
