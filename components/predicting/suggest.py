"""What to label next: unlabelled training scans ranked by predicted quality and variety."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.predicting.candidates import Candidate, Candidates, find_candidates
from components.predicting.choice import Chosen, choose
from components.predicting.stream import Outcome, judge_scans
from sss_model.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from sss_model.checkpoint import Checkpoint
    from sss_model.quality.triage import Triage

_COLUMNS = ("rank", "case", "patient", "group", "quality", "nearest", "similarity", "why", "image")


@dataclass(frozen=True)
class Suggestion:
    """A scan worth labelling: the Dice to expect of its mask as it is, and the scan most like it among the labelled and
    the suggested ones, with their correlation. Empty where nothing is known."""

    rank: int
    case: str
    patient: str
    group: str
    quality: str
    nearest: str
    similarity: str
    why: str
    image: str


class Suggestions(NamedTuple):
    """What to label, in order; how many scans were looked at, and which can't be read, and why."""

    rows: list[Suggestion]
    candidates: Candidates
    failed: list[str]


class _Seen(NamedTuple):
    candidate: Candidate
    triage: Triage
    doubt: float
    picture: np.ndarray


def suggest(
    checkpoint: Checkpoint,
    data: Path,
    *,
    count: int,
    on_scan: Callable[[str, int, int], None] = lambda case, number, total: None,
) -> Suggestions:
    """Rank the training scans of a data set that the checkpoint has no label of.

    Args:
        data: a data set in the canonical layout.
        count: how many to suggest at most.
        on_scan: called with each case, its number from 1, and how many there will be.

    Raises:
        InputError: see `find_candidates`; or no candidate can be read. A single one that can't is among the failed.
    """
    import numpy as np

    candidates = find_candidates(data, checkpoint.meta)
    seen, failed = _look(checkpoint, data, candidates, on_scan)
    if not seen:
        raise InputError(f"none of {len(failed)} scans can be read: {failed[0]}")
    labelled = [_picture(each) for each in candidates.labelled]
    chosen = choose(
        np.array([each.doubt for each in seen]),
        np.stack([each.picture for each in seen]),
        [each.candidate.patient for each in seen],
        np.array(labelled).reshape(len(labelled), seen[0].picture.size),
        count=count,
        look_alike=checkpoint.config.validation.max_similarity,
    )
    known = [*candidates.labelled, *(each.candidate for each in seen)]
    rows = [_suggestion(rank, one, seen[one.scan], known) for rank, one in enumerate(chosen, start=1)]
    return Suggestions(rows, candidates, failed)


def table_of(rows: list[Suggestion]) -> tuple[tuple[str, ...], list[dict[str, object]]]:
    """Columns and rows, for a table or a file."""
    return _COLUMNS, [asdict(row) for row in rows]


def _look(
    checkpoint: Checkpoint, data: Path, candidates: Candidates, on_scan: Callable[[str, int, int], None]
) -> tuple[list[_Seen], list[str]]:
    from sss_model.predict import Predictor

    seen, failed = list[_Seen](), list[str]()
    scans = [each.scan(data) for each in candidates.open]
    outcomes = judge_scans(Predictor(checkpoint), scans)
    for number, (candidate, outcome) in enumerate(zip(candidates.open, outcomes, strict=True), start=1):
        if outcome.error is None:
            seen.append(_seen(checkpoint, candidate, outcome))
        else:
            failed.append(outcome.error)
        on_scan(candidate.case, number, len(scans))
    return seen, failed


def _seen(checkpoint: Checkpoint, candidate: Candidate, outcome: Outcome) -> _Seen:
    from sss_model.quality.calibrate import foreground
    from sss_model.quality.fit import score_of
    from sss_model.quality.triage import triage
    from sss_model.screening.thumbnail import thumbnail

    assert outcome.judged is not None and outcome.volume is not None
    found = triage(checkpoint.meta, outcome.judged)
    fit = checkpoint.meta.quality
    score = score_of(outcome.judged.signs, foreground(checkpoint.meta.labels), fit.always if fit else [])
    dice = found.estimate.dice if found.estimate else score
    # Where nothing was found, all is in doubt.
    return _Seen(candidate, found, 1.0 if math.isnan(dice) else 1 - dice, thumbnail(outcome.volume).ravel())


def _picture(candidate: Candidate) -> np.ndarray:
    from sss_model.screening.thumbnail import thumbnail
    from sss_model.volumes import read_volume

    return thumbnail(read_volume(candidate.image)).ravel()


def _suggestion(rank: int, one: Chosen, seen: _Seen, known: list[Candidate]) -> Suggestion:
    each, estimate = seen.candidate, seen.triage.estimate
    if estimate:
        why = f"Dice {estimate.low:.2f} to {estimate.high:.2f} expected"
    else:
        why = f"the network's doubt is {seen.doubt:.2f}, not calibrated"
    others = [reason for reason in seen.triage.reasons if not reason.startswith("expected Dice")]
    return Suggestion(
        rank,
        each.case,
        each.patient,
        each.group,
        f"{estimate.dice:.4f}" if estimate else "",
        "" if one.nearest is None else known[one.nearest].case,
        "" if one.nearest is None else f"{one.similarity:.3f}",
        "; ".join([why, *others]),
        str(each.image),
    )
