"""SAM-2's weights: whether they are here, are what their name says, and hold weights and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.doctor.checks import Line, not_configured

if TYPE_CHECKING:
    from sss_model.config import Model

_NAME = "SAM-2 checkpoint"


def checkpoint(given: Path | None, params: Path) -> list[Line]:
    """The file that is given, or what the recipe names; nothing is fetched."""
    if given:
        return [_file(given)]
    model = _model_of(params)
    if model is None or model.checkpoint is None:
        return [not_configured(_NAME, f"--checkpoint, or model.checkpoint in {params}")]
    from components.pretrained import published
    from components.pretrained.resolve import FOLDER, refuse_misfit
    from components.s3 import SCHEME

    refuse_misfit(model)
    named = model.checkpoint
    if named.startswith(SCHEME):
        return [Line(_NAME, "grey", f"{named}: fetched when a training starts")]
    known = published.find(named, model.version)
    if known is None or Path(named).is_file():
        return [_file(Path(named))]
    if not (FOLDER / known.file).exists():
        return [Line(_NAME, "yellow", f"{known.file}: not here yet", f"`sss checkpoint get {known.name}`")]
    return [_file(FOLDER / known.file)]


def _file(path: Path) -> Line:
    from components.pretrained import published
    from sss_model.errors import InputError
    from sss_model.files import sha256
    from sss_model.network.pretrained import read_pretrained

    known = published.find(path.name, version="")
    digests = {each.sha256: each.file for each in published.PUBLISHED}
    try:
        read_pretrained(path)
        if known:
            published.refuse_other(path, known, where=str(path))
    except InputError as error:
        return Line(
            _NAME, "red", str(error).partition(";")[0], "fetch it with `sss checkpoint get`, or name another file"
        )
    name = digests.get(sha256(path))
    if name is None:
        return Line(_NAME, "yellow", f"{path}: none of the published ones", "nothing, if these are weights of your own")
    return Line(_NAME, "green", f"{path}: Meta's {name}, by its SHA-256")


def _model_of(params: Path) -> Model | None:
    if not params.exists():
        return None
    from sss_model.config import load_config

    return load_config(params).model
