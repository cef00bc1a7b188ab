"""``sss predict``: a mask and its predicted quality for every scan of a file, a folder or a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from sss_model.errors import InputError
from sss_ops.prediction.checkpoints import NAMES, open_checkpoint
from sss_ops.prediction.outputs import SUMMARY, Masks, masks_at
from sss_ops.prediction.scans import InputScan, find_scans, read_ahead
from sss_ops.prediction.summary import SummaryRow, parse_summary, summary_table, summary_text
from sss_ops.storage import s3

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint


_MOST_REASONS = 10


class Predictions(NamedTuple):
    """A row for every scan, in order, and where the masks are."""

    rows: list[SummaryRow]
    masks: Masks

    def text(self) -> str:
        """The closing line: what was made, and how many masks to review."""
        count = {status: sum(row.status == status for row in self.rows) for status in ("made", "kept", "failed")}
        look = sum(row.look == "yes" and row.status != "failed" for row in self.rows)
        counts = f"{count['made']} made, {count['kept']} kept from before, {count['failed']} failed"
        first = self.rows[0].scan
        where = self.masks.address(first if len(self.rows) == 1 else SUMMARY)
        return f"{counts}; {look} worth a look: {where}"

    def refuse_failures(self) -> None:
        """Raise an `InputError` that names the scans without a mask, if there are any."""
        failed = [row for row in self.rows if row.status == "failed"]
        if failed:
            reasons = "; ".join(row.warnings for row in failed[:_MOST_REASONS])
            more = f"; and {len(failed) - _MOST_REASONS} more" if len(failed) > _MOST_REASONS else ""
            raise InputError(f"{len(failed)} of {len(self.rows)} scans have no mask: {reasons}{more}")


def predict(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACES",
            help=f"[CHECKPOINT] IN OUT. CHECKPOINT: {NAMES}; left out with --model. IN: a .nii, .nii.gz or .png file, "
            "a folder (with all below it), or s3://BUCKET/PREFIX. OUT: a folder or s3://BUCKET/PREFIX for the masks; "
            "for one scan also the file of the mask.",
        ),
    ],
    model: Annotated[str | None, typer.Option(help=f"In place of CHECKPOINT: {NAMES}.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make masks anew that an earlier run made.")] = False,
    review_below: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Expected Dice below which to review a mask; by default what the checkpoint found."
        ),
    ] = None,
) -> Predictions:
    """Segment scans, and list the masks that a person should review.

    Each mask is on the grid of its scan. The table, also in summary.csv beside the masks, has the volume of each class,
    the expected Dice (calibrated on validation patients), and how the scan differs from those of the training. Run
    again, the command continues where it was. Scans that fail are listed at the end; exit code 2.

    Example: sss predict --model models:/sss-acdc@champion scans masks
    """
    named, source, destination = _three(places, model)
    from sss_model.progress import ProgressBar

    with open_checkpoint(named) as checkpoint, ProgressBar("predict", unit="items", stderr=True) as progress:
        predictions = predict_scans(
            checkpoint,
            source,
            destination,
            replace=replace,
            review_below=review_below,
            on_row=lambda row, number, total: progress.show(number, total=total, note=f"{row.scan} {row.status}"),
        )
    typer.echo(summary_text(predictions.rows))
    typer.echo(predictions.text())
    predictions.refuse_failures()
    return predictions


def _three(places: list[str], model: str | None) -> tuple[str, str, str]:
    given = [*([model] if model else []), *places]
    if len(given) != 3:
        wanted = "IN and OUT beside --model" if model else "CHECKPOINT, IN and OUT, or --model with IN and OUT"
        raise InputError(f"{len(places)} places given ({' '.join(places)}); expected {wanted}")
    named, source, destination = given
    return named, source, destination


def predict_scans(
    checkpoint: Checkpoint,
    source: str,
    destination: str,
    *,
    replace: bool = False,
    review_below: float | None = None,
    on_row: Callable[[SummaryRow, int, int], None] = lambda row, number, total: None,
) -> Predictions:
    """Segment every scan of a file, a folder or a bucket.

    Masks that an earlier run of the same model made of the same files are kept. The summary is written after every
    scan, so that a killed run continues where it was; rows of masks that other runs made there stay.

    Args:
        source: a file, a folder with all below it, or ``s3://BUCKET/PREFIX``.
        destination: the folder or the prefix for the masks; for a single scan also the file or the object of the mask.
        replace: make masks anew that are there.
        review_below: expected Dice below which a mask is worth a review; None is what the checkpoint found.
        on_row: called with each row, its number from 1, and how many there will be.

    Raises:
        InputError: nothing to segment, nowhere to write, a mask would replace a scan, or masks of another model are
            there. A scan that can't be segmented raises nothing: its row is ``failed``.
    """
    scans = find_scans(source, masks=destination)
    masks = masks_at(destination, single=[Path(scan.where) for scan in scans] == [Path(source)])
    _refuse_to_replace_scans(scans, masks)
    model = weights_identity(checkpoint)
    earlier = _earlier(masks)
    kept = {} if replace else _kept(masks, scans, earlier, model)
    rows = {name: row.kept(checkpoint.meta.quality, review_below) for name, row in kept.items()}
    _write_label_names(masks, checkpoint, scans)
    others = _others(masks, scans, earlier or {})
    for number, row in enumerate(rows.values(), start=1):
        on_row(row, number, len(scans))
    masks.write_summary(summary_table([*others, *rows.values()]))
    for row in _new_rows(checkpoint, [scan for scan in scans if scan.name not in kept], masks, model, review_below):
        rows[row.scan] = row
        masks.write_summary(summary_table([*others, *_in_order(rows, scans)]))
        on_row(row, len(rows), len(scans))
    return Predictions(_in_order(rows, scans), masks)


def weights_identity(checkpoint: Checkpoint) -> str:
    """Twelve characters for the weights and how they are used: others give other masks."""
    import torch

    digest = hashlib.sha256(checkpoint.config.predict.model_dump_json().encode())
    digest.update(checkpoint.config.data.model_dump_json().encode())
    for name, tensor in sorted(checkpoint.weights.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _new_rows(
    checkpoint: Checkpoint, scans: list[InputScan], masks: Masks, model: str, review_below: float | None
) -> Iterator[SummaryRow]:
    """Segment scans and write their masks, one after the other."""
    if not scans:
        return
    from sss_model.inference.predictor import Predictor

    predictor = Predictor(checkpoint)
    for scan, volume in read_ahead(scans):
        try:
            assessed = predictor.assess(volume.result(), review_below=review_below)
            masks.write(scan.name, assessed.segmentation.mask)
        except InputError as error:
            yield SummaryRow.failed(scan, str(error))
        else:
            yield SummaryRow.made(scan, assessed, labels=checkpoint.meta.labels, model=model)


def _refuse_to_replace_scans(scans: Sequence[InputScan], masks: Masks) -> None:
    """Whatever `replace` says, a mask does not overwrite a scan."""
    places = {_resolved(scan.where) for scan in scans}
    for scan in scans:
        if _resolved(masks.address(scan.name)) in places:
            raise InputError(f"{masks.address(scan.name)}: a mask there would replace a scan; expected another place")


def _resolved(where: str) -> str:
    return where if where.startswith(s3.SCHEME) else str(Path(where).resolve())


def _write_label_names(masks: Masks, checkpoint: Checkpoint, scans: Sequence[InputScan]) -> None:
    from sss_model.io.formats import ending_of

    masks.write_label_names(checkpoint.meta.labels, file_ending=ending_of(Path(scans[0].name)))


def _earlier(masks: Masks) -> dict[str, SummaryRow] | None:
    """The rows of the summary that is there; None where there is none."""
    content = masks.read_summary()
    return None if content is None else parse_summary(content, masks.address(SUMMARY))


def _others(masks: Masks, scans: Sequence[InputScan], earlier: dict[str, SummaryRow]) -> list[SummaryRow]:
    """The rows of masks that are there, of scans that this run isn't about."""
    about = {scan.name for scan in scans}
    elsewhere = [row for name, row in earlier.items() if name not in about]
    existing = masks.existing() if elsewhere else set()
    return [row for row in elsewhere if row.scan in existing]


def _kept(
    masks: Masks, scans: Sequence[InputScan], earlier: dict[str, SummaryRow] | None, model: str
) -> dict[str, SummaryRow]:
    """The rows of masks that need not be made again."""
    existing = masks.existing() & {scan.name for scan in scans}
    rows = earlier or {}
    foreign = sorted(name for name in existing if earlier is None or _of_another(rows.get(name), model))
    if foreign:
        whose = "which no summary.csv beside it tells of" if earlier is None else "which another model made"
        raise InputError(
            f"{masks.address(foreign[0])}: a mask is there, {whose} ({len(foreign)} such); expected another folder, or "
            "--replace to make them anew"
        )
    known = [scan for scan in scans if scan.name in existing and scan.name in rows]
    return {scan.name: rows[scan.name] for scan in known if _same(rows[scan.name], scan, model)}


def _of_another(row: SummaryRow | None, model: str) -> bool:
    return row is not None and row.model not in (model, "")  # the row of a failed scan names no model


def _same(row: SummaryRow, scan: InputScan, model: str) -> bool:
    return row.model == model and row.stamp == scan.stamp


def _in_order(rows: dict[str, SummaryRow], scans: Sequence[InputScan]) -> list[SummaryRow]:
    return [rows[scan.name] for scan in scans if scan.name in rows]
