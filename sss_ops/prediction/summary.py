"""The summary of a prediction: a row for every mask, in ``summary.csv`` and as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sss_model.io.tables import cells_of, columns_of, parse_row, parse_table, table_bytes
from sss_ops.text_table import aligned

if TYPE_CHECKING:
    from sss_model.inference.predictor import Assessment
    from sss_model.inference.quality import QualityFit
    from sss_model.io.volumes import Volume
    from sss_ops.prediction.scans import InputScan


_ML, _PIXELS = "_ml", "_pixels"
_MOST_ROWS = 30
_BETWEEN = "; "


@dataclass(frozen=True)
class SummaryRow:
    """One scan and its mask.

    Attributes:
        scan: its name below its folder or prefix; the mask has the same.
        status: ``made``, ``kept`` from an earlier run, or ``failed``.
        look: ``yes`` or ``no``, whether a person should review the mask.
        quality, quality_low, quality_high: expected mean Dice and its range; empty where nothing is known of it.
        warnings: reasons for a review, or why there is no mask.
        model, stamp: identity of the weights and of the file that the mask was made of.
        sizes: volume per class in millilitres, of pictures in pixels, by column.
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

    @classmethod
    def failed(cls, scan: InputScan, error: str) -> SummaryRow:
        """The row of a scan that has no mask."""
        return cls(scan.name, "failed", "yes", "", "", "", error, "", scan.stamp)

    @classmethod
    def made(cls, scan: InputScan, assessed: Assessment, *, labels: Mapping[str, int], model: str) -> SummaryRow:
        """The row of a new mask."""
        estimate, reasons = assessed.review
        quality, low, high = (f"{value:.4f}" for value in estimate) if estimate else ("", "", "")
        return cls(
            scan=scan.name,
            status="made",
            look="yes" if reasons else "no",
            quality=quality,
            quality_low=low,
            quality_high=high,
            warnings=_BETWEEN.join(reasons),
            model=model,
            stamp=scan.stamp,
            sizes=_sizes_of(assessed.segmentation.mask, labels, picture=scan.name.endswith(".png")),
        )

    def kept(self, fit: QualityFit | None, review_below: float | None) -> SummaryRow:
        """The row of a mask that an earlier run made, held to the limit of this run; see `quality.review`."""
        from sss_model.inference.quality import EXPECTED_DICE, low_expected_dice

        low = low_expected_dice(float(self.quality), fit, review_below) if fit and self.quality else None
        reasons = [one for one in self.warnings.split(_BETWEEN) if one and not one.startswith(EXPECTED_DICE)]
        reasons += [low] if low else []
        return replace(self, status="kept", look="yes" if reasons else "no", warnings=_BETWEEN.join(reasons))


_COLUMNS = columns_of(SummaryRow)
_LAST = ["warnings", "model", "stamp"]


def summary_table(rows: Sequence[SummaryRow]) -> bytes:
    """The content of ``summary.csv``."""
    columns = [*(name for name in _COLUMNS if name not in _LAST), *_size_columns(rows), *_LAST]
    return table_bytes(columns, ({**cells_of(row), **row.sizes} for row in rows))


def parse_summary(content: bytes, where: str) -> dict[str, SummaryRow]:
    """The rows of a ``summary.csv`` by scan; raises `InputError` where it is none."""
    expected = "the summary.csv of an earlier run, or none"
    lines = parse_table(content, _COLUMNS, where=where, expected=expected).lines
    rows = (parse_row(SummaryRow, line, expected=expected, sizes=_sizes_in(line.cells)) for line in lines)
    return {row.scan: row for row in rows}


def summary_text(rows: Sequence[SummaryRow]) -> str:
    """The rows as aligned text: failed ones and those to review first, by ascending quality; many are cut short."""
    ordered = sorted(rows, key=lambda row: (row.status != "failed", row.look != "yes", float(row.quality or 0)))
    sizes = _size_columns(rows)
    lines = aligned(
        ["scan", *(name.replace("_", " ") for name in sizes), "quality", "look", "why"],
        (
            [row.scan, *(_short(row.sizes.get(name, "")) for name in sizes), _quality(row), row.look, row.warnings]
            for row in ordered[:_MOST_ROWS]
        ),
    )
    more = len(rows) - _MOST_ROWS
    return "\n".join([*lines, f"… and {more} more"] if more > 0 else lines)


def _sizes_of(mask: Volume, labels: Mapping[str, int], *, picture: bool) -> dict[str, str]:
    """Per foreground class its millilitres or, of a picture, which has no millimetres, its pixels."""
    import numpy as np

    counts = np.bincount(mask.array.ravel(), minlength=len(labels))
    voxel_ml = float(np.prod(mask.spacing)) / 1000
    named = sorted((index, name) for name, index in labels.items() if index)
    if picture:
        return {name + _PIXELS: str(counts[index]) for index, name in named}
    return {name + _ML: f"{counts[index] * voxel_ml:.3f}" for index, name in named}


def _sizes_in(cells: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in cells.items() if name.endswith((_ML, _PIXELS)) and value}


def _size_columns(rows: Sequence[SummaryRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.sizes))


def _quality(row: SummaryRow) -> str:
    if not row.quality:
        return "–"
    return f"{float(row.quality):.2f} ({float(row.quality_low):.2f} to {float(row.quality_high):.2f})"


def _short(value: str) -> str:
    return f"{float(value):.1f}" if "." in value else value
