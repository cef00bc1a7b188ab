"""The model card: what a model is, how good, for what and for what not, in one page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint
    from sss_model.metrics import Score

FEW_PATIENTS = 30
"""Test patients below which a card warns of its own intervals."""


def write_card(
    path: Path,
    *,
    model: str,
    trained: Checkpoint,
    scores: dict[str, Any],
    rows: Sequence[Score],
    data: dict[str, Any],
) -> None:
    """Write the card, whole or not at all.

    Args:
        path: Markdown file.
        model: name it is registered under.
        trained: its checkpoint.
        scores: content of ``metrics.json``.
        rows: content of ``cases.csv``.
        data: content of ``data_version.json``.
    """
    from components.citations import citations
    from components.failure_cases import failure_cases
    from sss_model.files import write_atomically

    train, network = trained.config.train, trained.config.model.network
    page = _template().render(
        model=model,
        structures=[name for name, value in trained.meta.labels.items() if value],
        meta=trained.meta,
        config=trained.config,
        scores=scores,
        intervals=scores.get("intervals", {}),
        volumes=scores.get("volumes_ml", {}),
        failures=failure_cases(rows),
        structures_scored=sum(row.status != "not_applicable" for row in rows),
        channel=_channel(data),
        data={"licence": "", **data},
        few=scores["patients"] < FEW_PATIENTS,
        citations=citations(method=train.method, network=network, data=data.get("citation", "")),
    )
    write_atomically(path, page.encode())


def _channel(data: dict[str, Any]) -> str:
    """What kind of scans they are, such as ``MRI``; empty where the data set doesn't say."""
    channel = str(data.get("channel", ""))
    return "" if channel == "image" else channel


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=_number, among=_among, listed=_listed, counted=_counted, mm=_mm)
    return environment.get_template("model_card.md")


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _among(value: float | None, interval: dict[str, float] | None, digits: int = 3) -> str:
    """A mean and its interval, ``0.801 (0.746–0.853)``."""
    if value is None or not interval:
        return _number(value, digits)
    return f"{_number(value, digits)} ({_number(interval['low'], digits)}–{_number(interval['high'], digits)})"


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _counted(number: int, noun: str) -> str:
    """``1 scan``, ``2 scans``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _mm(seen: tuple[float, float], digits: int = 2) -> str:
    """A range in millimetres, one number where both ends are the same."""
    low, high = (f"{round(value, digits):g}" for value in seen)
    return f"{low} mm" if low == high else f"{low} to {high} mm"
