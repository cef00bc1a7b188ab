"""Every scan of a place segmented, judged and written down."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sss_model.errors import InputError
from sss_model.io.formats import ending_of
from sss_ops.prediction.model import identity_of
from sss_ops.prediction.outputs import SUMMARY, Masks, masks_at
from sss_ops.prediction.scans import Scan, find_scans
from sss_ops.prediction.summary import Row, doubt_of, failed_row, read_rows, row_of, summary_bytes
from sss_ops.storage import s3

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint
    from sss_model.inference.predictor import Judged, Predictor
    from sss_model.io.volumes import Volume


# Scan after scan: while one is segmented the next one is fetched and read, and no more than these two are here.


class Outcome(NamedTuple):
    """What became of a scan: `error` says why there is no prediction, if there is none."""

    scan: Scan
    volume: Volume | None
    judged: Judged | None
    error: str | None


def judge_scans(
    predictor: Predictor, scans: Sequence[Scan], put: Callable[[Outcome], None] = lambda outcome: None
) -> Iterator[Outcome]:
    """Segment scans in order.

    Args:
        put: called with every prediction, to write its mask; an `InputError` of it is the scan's error.

    Yields:
        An outcome for every scan; one that can't be used does not end the others.
    """
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Volume | str] | None = None
        for scan, following in zip(scans, [*scans[1:], None], strict=True):
            read = (coming or pool.submit(_read, scan)).result()
            coming = pool.submit(_read, following) if following else None
            yield _judged(predictor, scan, read, put)


def _judged(predictor: Predictor, scan: Scan, read: Volume | str, put: Callable[[Outcome], None]) -> Outcome:
    if isinstance(read, str):
        return Outcome(scan, None, None, read)
    try:
        outcome = Outcome(scan, read, predictor.judge(read), None)
        put(outcome)
    except InputError as error:
        return Outcome(scan, read, None, str(error))
    return outcome


def _read(scan: Scan) -> Volume | str:
    """The scan's volume, or why it can't be had; its file, where it had to be fetched, is gone afterwards."""
    from sss_model.io.volumes import read_volume

    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        path = Path(folder)
        try:
            path = scan.bring(path)
            return read_volume(path)
        except InputError as error:
            # A temporary name says nothing to anybody.
            return str(error).replace(str(path), scan.where)


_MOST_REASONS = 10


class Done(NamedTuple):
    """A row for every scan, in order, and where the masks are."""

    rows: list[Row]
    masks: Masks

    def told(self) -> str:
        """A sentence for the end."""
        count = {status: sum(row.status == status for row in self.rows) for status in ("made", "kept", "failed")}
        look = sum(row.look == "yes" and row.status != "failed" for row in self.rows)
        counts = f"{count['made']} made, {count['kept']} kept from before, {count['failed']} failed"
        first = self.rows[0].scan
        where = self.masks.where(first if len(self.rows) == 1 else SUMMARY)
        return f"{counts}; {look} worth a look: {where}"

    def refuse_failures(self) -> None:
        """Raise an `InputError` that names the scans without a mask, if there are any."""
        failed = [row for row in self.rows if row.status == "failed"]
        if failed:
            reasons = "; ".join(row.warnings for row in failed[:_MOST_REASONS])
            more = f"; and {len(failed) - _MOST_REASONS} more" if len(failed) > _MOST_REASONS else ""
            raise InputError(f"{len(failed)} of {len(self.rows)} scans have no mask: {reasons}{more}")


def predict(
    checkpoint: Checkpoint,
    source: str,
    destination: str,
    *,
    replace: bool = False,
    look_below: float | None = None,
    on_row: Callable[[Row, int, int], None] = lambda row, number, total: None,
) -> Done:
    """Segment every scan of a place.

    Masks that an earlier run of the same model made of the same files are kept. The summary is written anew after every
    scan, so that a run that is killed goes on where it was; rows of masks that other runs made there stay.

    Args:
        source: a file, a folder with all below it, or ``s3://BUCKET/PREFIX``.
        destination: the folder or the prefix for the masks; for a single scan, the mask's file or object, too.
        replace: make masks anew that are there.
        look_below: expected Dice below which a mask is worth a look; None is what the checkpoint found.
        on_row: called with each row, its number from 1, and how many there will be.

    Raises:
        InputError: nothing to segment, nowhere to write, a mask would replace a scan, or masks of another model are
            there. A scan that can't be segmented raises nothing: it has a row that says so.
    """
    found = find_scans(source, masks=destination)
    masks = masks_at(destination, single=found.single)
    _refuse_to_replace_scans(found.scans, masks)
    model = identity_of(checkpoint)
    earlier = _earlier(masks)
    kept = {} if replace else _kept(masks, found.scans, earlier, model)
    kept = {name: row.kept(doubt_of(row, checkpoint.meta.quality, look_below)) for name, row in kept.items()}
    masks.name_labels(checkpoint.meta.labels, file_ending=ending_of(Path(found.scans[0].name)))
    others = _others(masks, found.scans, earlier or {})
    rows = dict(kept)
    for number, row in enumerate(kept.values(), start=1):
        on_row(row, number, len(found.scans))
    masks.write_summary(summary_bytes([*others, *rows.values()]))
    for row in _made(checkpoint, [scan for scan in found.scans if scan.name not in kept], masks, model, look_below):
        rows[row.scan] = row
        masks.write_summary(summary_bytes([*others, *_in_order(rows, found.scans)]))
        on_row(row, len(rows), len(found.scans))
    return Done(_in_order(rows, found.scans), masks)


def _made(
    checkpoint: Checkpoint, scans: list[Scan], masks: Masks, model: str, look_below: float | None
) -> Iterator[Row]:
    if not scans:
        return
    from sss_model.inference.predictor import Predictor
    from sss_model.inference.triage import triage

    meta = checkpoint.meta

    def put(outcome: Outcome) -> None:
        if outcome.judged:
            masks.put(outcome.scan.name, outcome.judged.segmentation.mask)

    for scan, _, judged, error in judge_scans(Predictor(checkpoint), scans, put):
        if judged is None:
            yield failed_row(scan, str(error))
        else:
            yield row_of(scan, judged, triage(meta, judged, look_below=look_below), labels=meta.labels, model=model)


def _refuse_to_replace_scans(scans: tuple[Scan, ...], masks: Masks) -> None:
    """Whatever `replace` says, a scan is not overwritten by a mask."""
    places = {_place(scan.where) for scan in scans}
    for scan in scans:
        if _place(masks.where(scan.name)) in places:
            raise InputError(f"{masks.where(scan.name)}: a mask there would replace a scan; expected another place")


def _place(where: str) -> str:
    return where if where.startswith(s3.SCHEME) else str(Path(where).resolve())


def _earlier(masks: Masks) -> dict[str, Row] | None:
    """The rows of the summary that is there, None where there is none."""
    content = masks.read_summary()
    return None if content is None else read_rows(content, masks.where(SUMMARY))


def _others(masks: Masks, scans: tuple[Scan, ...], earlier: dict[str, Row]) -> list[Row]:
    """The rows of masks that are there, of scans that this run isn't about."""
    about = {scan.name for scan in scans}
    elsewhere = [row for name, row in earlier.items() if name not in about]
    there = masks.names() if elsewhere else set()
    return [row for row in elsewhere if row.scan in there]


def _kept(masks: Masks, scans: tuple[Scan, ...], earlier: dict[str, Row] | None, model: str) -> dict[str, Row]:
    """The rows of masks that need not be made again."""
    there = masks.names() & {scan.name for scan in scans}
    rows = earlier or {}
    foreign = sorted(name for name in there if earlier is None or _of_another(rows.get(name), model))
    if foreign:
        whose = "which no summary.csv beside it tells of" if earlier is None else "which another model made"
        raise InputError(
            f"{masks.where(foreign[0])}: a mask is there, {whose} ({len(foreign)} such); expected another folder, or "
            "--replace to make them anew"
        )
    return {
        scan.name: rows[scan.name]
        for scan in scans
        if scan.name in there and scan.name in rows and _same(rows[scan.name], scan, model)
    }


def _of_another(row: Row | None, model: str) -> bool:
    # A failed scan's row names no model.
    return row is not None and row.model not in (model, "")


def _same(row: Row, scan: Scan, model: str) -> bool:
    return row.model == model and row.stamp == scan.stamp


def _in_order(rows: dict[str, Row], scans: tuple[Scan, ...]) -> list[Row]:
    return [rows[scan.name] for scan in scans if scan.name in rows]
