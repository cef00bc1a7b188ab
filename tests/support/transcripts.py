"""Replay the transcripts of docs/reference/layouts.md on generated samples, or on real scans.

``python -m support.transcripts`` runs them all and rewrites the page; ACDC_DIR says where ACDC lies.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo

from sss_ops.cli import app
from support.layouts import LAYOUTS
from support.paths import ROOT

DOCUMENT = ROOT / "docs/reference/layouts.md"
_BLOCK = re.compile(r"(?<=```console\n)\$ sss import .*?(?=```\n)", re.DOTALL)


def blocks(document: str) -> list[str]:
    """Every transcript that begins with an import."""
    return _BLOCK.findall(document)


def is_real(block: str) -> bool:
    """Whether a transcript is of the data set itself and not of a sample."""
    return "downloads/ACDC/" in block


def replay(block: str) -> str:
    """The same commands with what they print now, run one after the other in a new folder."""
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    with _place(commands[0], real=is_real(block)):
        return "".join(f"$ {command}\n{_run(command)}" for command in commands)


def rewritten(document: str) -> str:
    """The document with every transcript run again."""
    return _BLOCK.sub(lambda match: replay(match[0]), document)


def _run(command: str) -> str:
    said = io.StringIO()
    words = shlex.split(command)[1:]
    if words[0] == "version-data":
        # What the page asks for beforehand: DVC's record of the data.
        Repo().add("data")
    with contextlib.redirect_stdout(said):
        app(words, standalone_mode=False)
    return said.getvalue()


@contextlib.contextmanager
def _place(command: str, *, real: bool) -> Iterator[None]:
    """A working directory with DVC, the command's source below ``downloads``, the recipes, and one for the sample."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        Repo.init(no_scm=True)
        Path("configs").symlink_to(ROOT / "configs")
        if real:
            Path("downloads").mkdir()
            Path("downloads/ACDC").symlink_to(os.environ["ACDC_DIR"])
        else:
            source = next((word for word in command.split() if word.startswith("downloads/")), "import phantom")
            next(layout for layout in LAYOUTS if source in f"import {layout.words}".split(" data/")[0]).prepare(Path())
        yield


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text()))
