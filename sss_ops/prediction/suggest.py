"""What to label next: unlabelled training scans ranked by predicted quality and variety."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sss_model.errors import InputError
from sss_ops.prediction.predict import Outcome, judge_scans
from sss_ops.prediction.scans import Scan

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint, Meta
    from sss_model.inference.triage import Triage


# Which scans of a data set a checkpoint could be given labels of next.


@dataclass(frozen=True)
class Candidate:
    """A scan, by its case, and whose it is."""

    case: str
    patient: str
    group: str
    image: Path

    def scan(self, folder: Path) -> Scan:
        """The scan as `sss_ops.prediction.predict.judge_scans` takes it."""
        return Scan(self.image.relative_to(folder).as_posix(), str(self.image), "", partial(_there, self.image))


@dataclass(frozen=True)
class Candidates:
    """Scans to choose from, those that the checkpoint has labels of, and whether the former have labels, too, which
    training did not see (``data.labelled``)."""

    open: tuple[Candidate, ...]
    labelled: tuple[Candidate, ...]
    hidden: bool


def find_candidates(data: Path, meta: Meta) -> Candidates:
    """Share out the training scans of a data set; those of validation and test patients are in neither part.

    Scans without a label are to choose from; where every one has a label, those whose label the checkpoint never saw.

    Raises:
        InputError: not a data set in the canonical layout, other classes than the checkpoint's, or none is left.
    """
    from sss_model.data.canonical import open_dataset

    found = open_dataset(data)
    if found.labels != meta.labels:
        raise InputError(f"{data}: its classes are {found.labels}; expected the checkpoint's, {meta.labels}")
    rows = {row.case: row for row in found.splits}
    held_out = {row.patient for row in found.splits if row.split != "train"} | set(meta.patients.validation)
    named = {
        files: Candidate(files.case, rows[files.case].patient, rows[files.case].group, files.image)
        for files in found.cases
        if rows[files.case].patient not in held_out
    }
    lenders = set(meta.patients.labelled)
    fresh = [each for files, each in named.items() if files.label is None and each.patient not in lenders]
    unseen = [each for files, each in named.items() if files.label is not None and each.patient not in lenders]
    if not (fresh or unseen):
        raise InputError(f"{data}: the checkpoint has labels of all training patients; expected unlabelled scans")
    labelled = tuple(each for each in named.values() if each.patient in lenders)
    return Candidates(tuple(fresh or unseen), labelled, hidden=not fresh)


def _there(image: Path, into: Path) -> Path:
    return image


# Which of many scans to label next: those that the model does worst on, and that differ from one another.


class Chosen(NamedTuple):
    """The number of a scan, and its greatest similarity to what is labelled or was chosen before: which, and how much.

    `nearest` counts the labelled scans first, then all others; None where there is nothing to compare with.
    """

    scan: int
    nearest: int | None
    similarity: float


def choose(
    doubt: np.ndarray,
    pictures: np.ndarray,
    patients: Sequence[str],
    labelled: np.ndarray,
    *,
    count: int,
    look_alike: float,
) -> list[Chosen]:
    """Choose scans one after the other, each time the one with the highest doubt times difference.

    Difference is 1 minus the correlation with the most alike scan among the labelled and the chosen ones. Of a patient
    one scan is chosen, and none that is as like another as `look_alike`.

    Args:
        doubt: (n,) how far from perfect the mask probably is, 0 to 1.
        pictures, labelled: (n, k) and (m, k), rows of length 1, whose products are correlations; see
            `sss_model.data.screening`.
        patients: (n,) whose scan it is.

    Returns:
        At most `count`; fewer where patients or differing scans run out.
    """
    known, names = labelled, list(range(len(labelled)))
    free = np.ones(len(doubt), dtype=bool)
    chosen: list[Chosen] = []
    while len(chosen) < count:
        alike, nearest = _most_alike(pictures, known)
        free &= alike < look_alike
        if not free.any():
            break
        best = int(np.argmax(np.where(free, doubt * (1 - alike), -np.inf)))
        chosen.append(Chosen(best, names[nearest[best]] if names else None, float(alike[best])))
        free &= np.array([patient != patients[best] for patient in patients])
        known = np.concatenate([known, pictures[best : best + 1]])
        names.append(len(labelled) + best)
    return chosen


def _most_alike(pictures: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the highest correlation of each scan with the known ones, at least 0, and the known one's number."""
    if not len(known):
        return np.zeros(len(pictures)), np.zeros(len(pictures), dtype=int)
    correlations = pictures @ known.T
    return np.maximum(correlations.max(1), 0), correlations.argmax(1)


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
        look_alike=checkpoint.config.data_checks.max_similarity,
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
    from sss_model.inference.predictor import Predictor

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
    from sss_model.data.screening import thumbnail
    from sss_model.inference.quality import foreground, score_of
    from sss_model.inference.triage import triage

    assert outcome.judged is not None and outcome.volume is not None
    found = triage(checkpoint.meta, outcome.judged)
    fit = checkpoint.meta.quality
    score = score_of(outcome.judged.signs, foreground(checkpoint.meta.labels), fit.always if fit else [])
    dice = found.estimate.dice if found.estimate else score
    # Where nothing was found, all is in doubt.
    return _Seen(candidate, found, 1.0 if math.isnan(dice) else 1 - dice, thumbnail(outcome.volume).ravel())


def _picture(candidate: Candidate) -> np.ndarray:
    from sss_model.data.screening import thumbnail
    from sss_model.io.volumes import read_volume

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
