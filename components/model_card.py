"""The model card: what a model is, how good, for what and for what not, in one page of Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint


def write_card(path: Path, *, model: str, trained: Checkpoint, scores: dict[str, Any], data: dict[str, Any]) -> None:
    """Write the card, whole or not at all.

    Args:
        path: Markdown file.
        model: name it is registered under.
        trained: its checkpoint.
        scores: content of ``metrics.json``.
        data: content of ``data_version.json``.
    """
    import jinja2

    from sss_model.files import write_atomically

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = lambda value, digits=3: "–" if value is None else f"{value:.{digits}f}"
    page = environment.get_template("model_card.md").render(
        model=model, meta=trained.meta, config=trained.config, scores=scores, data=data
    )
    write_atomically(path, page.encode())
