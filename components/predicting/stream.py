"""Scan after scan: while one is segmented the next one is fetched and read, and no more than these two are here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.predicting.scans import Scan
from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.predict import Judged, Predictor
    from sss_model.volumes import Volume


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
    from sss_model.volumes import read_volume

    with tempfile.TemporaryDirectory(prefix="sss-") as folder:
        path = Path(folder)
        try:
            path = scan.bring(path)
            return read_volume(path)
        except InputError as error:
            # A temporary name says nothing to anybody.
            return str(error).replace(str(path), scan.where)
