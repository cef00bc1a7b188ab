"""The report: one HTML file, with everything in it, that says what was trained on what and how good it is."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from PIL import Image

from sss_model.checkpoint import Checkpoint
from sss_model.config import dump_config
from sss_model.evaluation.calibration import expected_calibration_error
from sss_model.evaluation.charts import Chart, Spread, bland_altman, line_chart, reliability_charts, spread_chart
from sss_model.evaluation.metrics import Score
from sss_model.evaluation.summary import MEASURES, SSL4MIS_MEASURES, by
from sss_model.evaluation.volumetry import ejection_fractions
from sss_model.files import write_atomically
from sss_model.io.label_names import class_colour

PICTURES_BYTES = 6_000_000
"""About how much of a report may be pictures; a cohort of hundreds would make a page that no browser opens gladly."""

METHODS = {
    "supervised": "labelled scans only",
    "weak_to_strong": "weak-to-strong consistency",
    "unimatch": "UniMatch",
    "sss": "SSS",
}
_CURVES = {
    "loss": ("Training loss", 0.0),
    "val_dice": ("Dice on validation patients", 1.0),
    "accepted": ("Share of pseudo-label pixels accepted", 1.0),
}


@dataclass(frozen=True)
class CaseView:
    """One case as the report shows it; `dice` is the mean over its applicable structures."""

    name: str
    group: str
    dice: float | None
    scores: tuple[Score, ...]
    picture: str | None
    """A data URI; None beyond the worst cases, so that the page stays small."""


def write_report(
    *,
    checkpoint: Checkpoint,
    scores: Sequence[Score],
    summary: Mapping[str, Any],
    overlays: Mapping[str, Path],
    output: Path,
    calibration: np.ndarray | None = None,
) -> None:
    """Write the report of one evaluation.

    Args:
        checkpoint: what was evaluated.
        scores: every case and class; at least one.
        summary: the content of ``summary.json``.
        overlays: case name to its picture, which is embedded.
        output: the HTML file; it needs no other file and loads nothing.
        calibration: (3, bins) of `sss_model.evaluation.calibration.count_reliability`; None draws no diagram.
    """
    colours = {name: class_colour(value) for name, value in checkpoint.meta.labels.items()}
    page = _template().render(
        meta=checkpoint.meta,
        config=checkpoint.config,
        recipe=dump_config(checkpoint.config),
        method=METHODS[checkpoint.meta.method],
        summary=summary,
        measures=MEASURES,
        ssl4mis_measures=SSL4MIS_MEASURES,
        digits={name: 2 if name.split("_")[0] in ("hd95", "asd") else 3 for name in (*MEASURES, *SSL4MIS_MEASURES)},
        colours=colours,
        cases=worst_first(scores, overlays),
        volumes=volume_charts(scores, summary),
        spreads=dice_spreads(scores, colours),
        curves=training_curves(checkpoint.history),
        reliability=[]
        if calibration is None
        else reliability_charts(calibration, expected_calibration_error(calibration)),
    )
    write_atomically(output, page.encode())


def worst_first(
    scores: Sequence[Score], overlays: Mapping[str, Path], *, most_bytes: int = PICTURES_BYTES
) -> list[CaseView]:
    """The cases by ascending mean Dice, those without any structure last; the first have pictures, up to a size."""
    cases = {name: (_mean(score.dice for score in rows), rows) for name, rows in by(scores, "case").items()}
    order = sorted(cases, key=lambda name: (cases[name][0] is None, cases[name][0] or 0.0, name))
    views, left = [], most_bytes
    for name in order:
        dice, rows = cases[name]
        picture = _embedded(overlays[name]) if left > 0 else None
        left -= len(picture or "")
        views.append(CaseView(name, rows[0].group, dice, tuple(rows), picture))
    return views


def volume_charts(scores: Sequence[Score], summary: Mapping[str, Any]) -> list[Chart]:
    """How measured volumes lie about true ones, per class, and ejection fractions where there are any."""
    charts = []
    for name, rows in by(scores, "class_name").items():
        pairs = [(row.truth_ml, row.predicted_ml, row.case) for row in rows if row.status != "not_applicable"]
        if pairs:
            charts.append(bland_altman(f"Volume of {name}", pairs, summary["volumes_ml"][name], unit="ml"))
    cavity = summary.get("ejection", {}).get("class")
    fractions = ejection_fractions(scores, cavity) if cavity else []
    shares = [
        (one.true_percent, one.predicted_percent, one.patient) for one in fractions if one.predicted_percent is not None
    ]
    if shares:
        charts.append(bland_altman(f"Ejection fraction of {cavity}", shares, summary["ejection"], unit="points"))
    return charts


def dice_spreads(scores: Sequence[Score], colours: Mapping[str, str]) -> Chart:
    """The Dice of every case, by class."""
    return spread_chart(
        [
            Spread(name, colours[name], [(row.dice, row.case) for row in rows if row.dice is not None])
            for name, rows in by(scores, "class_name").items()
        ]
    )


def calibration_charts(table: np.ndarray | None) -> list[Chart]:
    """A reliability diagram and its histogram of voxels, where there is a table."""
    return [] if table is None else reliability_charts(table, expected_calibration_error(table))


def training_curves(history: pd.DataFrame) -> list[Chart]:
    """The curves of the scalars that this training logged."""
    logged = {column: history[["step", column]].dropna() for column in _CURVES if column in history}
    return [
        line_chart(_CURVES[column][0], rows["step"].tolist(), rows[column].tolist(), top=_CURVES[column][1])
        for column, rows in logged.items()
        if len(rows)
    ]


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sss_model.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value, digits=3: "–" if value is None else f"{value:.{digits}f}"
    return environment.get_template("report.html")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _embedded(picture: Path) -> str:
    """A picture as a data URI; WebP, because a report may hold a hundred."""
    stream = io.BytesIO()
    with Image.open(picture) as opened:
        opened.convert("RGB").save(stream, format="WEBP", quality=82, method=2)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
