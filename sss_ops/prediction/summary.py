"""What is told of every mask: volumes, the quality to expect, and whether to look at it; in a table and a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.text_table import aligned, csv_bytes

if TYPE_CHECKING:
    from sss_model.inference.predictor import Judged
    from sss_model.inference.quality import QualityFit
    from sss_model.inference.triage import Triage
    from sss_model.io.volumes import Volume
    from sss_ops.prediction.scans import Scan


_ML, _PIXELS = "_ml", "_pixels"
_MOST_ROWS = 30
_BETWEEN = "; "


@dataclass(frozen=True)
class Row:
    """One scan.

    Attributes:
        scan: its name below its place, which is its mask's, too.
        status: ``made``, ``kept`` from an earlier run, or ``failed``.
        look: ``yes`` or ``no``, for a person who can't look at all of them.
        quality, quality_low, quality_high: the mean Dice to expect and its range; empty where nothing is known of it.
        warnings: why to look, or why there is no mask.
        model, stamp: of which weights and of which file the mask is.
        sizes: per class millilitres, in pictures pixels, under the column's name.
    """

    scan: str
    status: str
    look: str
    quality: str
    quality_low: str
    quality_high: str
    warnings: str
    model: str
    stamp: str
    sizes: Mapping[str, str] = field(default_factory=dict)

    def kept(self, doubt: str | None) -> Row:
        """The row of a mask that an earlier run made; `doubt` is what its quality gives to say now, see `doubt_of`."""
        from sss_model.inference.triage import DOUBT

        reasons = [one for one in self.warnings.split(_BETWEEN) if one and not one.startswith(DOUBT)]
        reasons += [doubt] if doubt else []
        return replace(self, status="kept", look="yes" if reasons else "no", warnings=_BETWEEN.join(reasons))


_COLUMNS = tuple(item.name for item in fields(Row) if item.name != "sizes")


def row_of(scan: Scan, judged: Judged, found: Triage, *, labels: Mapping[str, int], model: str) -> Row:
    """The row of a mask that was made."""
    quality, low, high = (f"{value:.4f}" for value in found.estimate) if found.estimate else ("", "", "")
    return Row(
        scan=scan.name,
        status="made",
        look="yes" if found.reasons else "no",
        quality=quality,
        quality_low=low,
        quality_high=high,
        warnings=_BETWEEN.join(found.reasons),
        model=model,
        stamp=scan.stamp,
        sizes=sizes_of(judged.segmentation.mask, labels, picture=scan.name.endswith(".png")),
    )


def doubt_of(row: Row, fit: QualityFit | None, look_below: float | None) -> str | None:
    """Why to look at a mask whose row is there, if its expected Dice is a reason; see `triage`."""
    from sss_model.inference.triage import doubt

    return doubt(float(row.quality), fit, look_below) if fit and row.quality else None


def failed_row(scan: Scan, error: str) -> Row:
    """The row of a scan that has no mask."""
    return Row(scan.name, "failed", "yes", "", "", "", error, "", scan.stamp)


def sizes_of(mask: Volume, labels: Mapping[str, int], *, picture: bool) -> dict[str, str]:
    """Per foreground class its millilitres, or, as a picture has no millimetres, its pixels."""
    import numpy as np

    counts = np.bincount(mask.array.ravel(), minlength=len(labels))
    voxel_ml = float(np.prod(mask.spacing)) / 1000
    named = sorted((index, name) for name, index in labels.items() if index)
    if picture:
        return {name + _PIXELS: str(counts[index]) for index, name in named}
    return {name + _ML: f"{counts[index] * voxel_ml:.3f}" for index, name in named}


def summary_bytes(rows: Sequence[Row]) -> bytes:
    """The content of ``summary.csv``."""
    shown = [name for name in _COLUMNS if name not in ("warnings", "model", "stamp")]
    columns = [*shown, *_sizes(rows), "warnings", "model", "stamp"]
    return csv_bytes(columns, ({**asdict(row), **row.sizes} for row in rows))


def read_rows(content: bytes, where: str) -> dict[str, Row]:
    """The rows of a summary by scan; raises `InputError` where it is none."""
    try:
        lines = list(csv.DictReader(io.StringIO(content.decode())))
        return {line["scan"]: _row(line) for line in lines}
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError):
        raise InputError(f"{where}: can't be read; expected the summary.csv of an earlier run, or none") from None


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, those to look at first, the lowest quality first; many are cut short."""
    ordered = sorted(rows, key=lambda row: (row.status != "failed", row.look != "yes", float(row.quality or 0)))
    sizes = _sizes(rows)
    lines = aligned(
        ["scan", *(name.replace("_", " ") for name in sizes), "quality", "look", "why"],
        (
            [row.scan, *(_short(row.sizes.get(name, "")) for name in sizes), _quality(row), row.look, row.warnings]
            for row in ordered[:_MOST_ROWS]
        ),
    )
    more = len(rows) - _MOST_ROWS
    return "\n".join([*lines, f"… and {more} more"] if more > 0 else lines)


def _row(line: Mapping[str, str]) -> Row:
    sizes = {name: value for name, value in line.items() if name.endswith((_ML, _PIXELS)) and value}
    return Row(**{name: line[name] for name in _COLUMNS}, sizes=sizes)


def _sizes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.sizes))


def _quality(row: Row) -> str:
    if not row.quality:
        return "–"
    return f"{float(row.quality):.2f} ({float(row.quality_low):.2f} to {float(row.quality_high):.2f})"


def _short(value: str) -> str:
    return f"{float(value):.1f}" if "." in value else value
