"""``sss suggest``: unlabelled training scans ranked by predicted quality and variety, to be labelled next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.tables import cells_of, columns_of, table_bytes
from sss_ops.prediction.checkpoints import NAMES, open_checkpoint
from sss_ops.prediction.scans import InputScan, read_ahead
from sss_ops.text_table import aligned

if TYPE_CHECKING:
    import numpy as np

    from sss_model.checkpoint import Checkpoint, Meta
    from sss_model.inference.predictor import Assessment
    from sss_model.inference.quality import Review
    from sss_model.io.volumes import Volume


@dataclass(frozen=True)
class Suggestion:
    """A scan worth labelling: the Dice to expect of its mask, and the scan most like it among the labelled and the
    suggested ones, with their correlation. Empty where nothing is known."""

    rank: int
    case: str
    patient: str
    group: str
    quality: str
    nearest: str
    similarity: str
    why: str
    image: str


def suggest(
    model: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=f"A {NAMES}.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Imported data set, such as data/acdc.")],
    count: Annotated[int, typer.Option(min=1, help="How many scans to suggest.")] = 10,
    output: Annotated[Path, typer.Option(help="CSV file to write them to.")] = Path("suggestions.csv"),
) -> list[Suggestion]:
    """Rank training scans without a label by what a label of them would be worth.

    First come scans whose masks are expected to be worst and that differ from the labelled ones and from one another;
    one of each patient. Validation and test patients are never suggested.

    Example: sss suggest checkpoint data/acdc --count 5
    """
    from sss_model.progress import ProgressBar

    with open_checkpoint(model) as checkpoint, ProgressBar("suggest", unit="items", stderr=True) as progress:
        ranking = rank_scans(
            checkpoint,
            data,
            count=count,
            on_scan=lambda case, number, total: progress.show(number, total=total, note=case),
        )
    columns, rows = columns_of(Suggestion), [cells_of(row) for row in ranking.suggestions]
    write_atomically(output, table_bytes(columns, rows))
    typer.echo("\n".join(aligned(columns[:-1], ([str(row[name]) for name in columns[:-1]] for row in rows))))
    what = "scans whose labels training did not see" if ranking.candidates.hidden else "scans without a label"
    typer.echo(f"{len(rows)} of {len(ranking.candidates.open)} {what}: {output}")
    if ranking.failed:
        raise InputError(f"{len(ranking.failed)} scans can't be read: {'; '.join(ranking.failed[:10])}")
    return ranking.suggestions


@dataclass(frozen=True)
class Candidate:
    """A training scan, by its case, and its patient."""

    case: str
    patient: str
    group: str
    image: Path

    def scan(self, folder: Path) -> InputScan:
        """The scan as `sss_ops.prediction.scans.read_ahead` takes it."""
        return InputScan(self.image.relative_to(folder).as_posix(), str(self.image), "")


@dataclass(frozen=True)
class Candidates:
    """The training scans of a data set.

    Attributes:
        open: those to choose from.
        labelled: those whose labels the checkpoint learned from.
        hidden: whether `open` have labels that training did not see (``data.labelled``).
    """

    open: tuple[Candidate, ...]
    labelled: tuple[Candidate, ...]
    hidden: bool


def find_candidates(data: Path, meta: Meta) -> Candidates:
    """Divide the training scans of a data set; those of validation and test patients are in neither part.

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
    labelled_patients = set(meta.patients.labelled)
    fresh = [each for files, each in named.items() if files.label is None and each.patient not in labelled_patients]
    unseen = [
        each for files, each in named.items() if files.label is not None and each.patient not in labelled_patients
    ]
    if not (fresh or unseen):
        raise InputError(f"{data}: the checkpoint has labels of all training patients; expected unlabelled scans")
    labelled = tuple(each for each in named.values() if each.patient in labelled_patients)
    return Candidates(tuple(fresh or unseen), labelled, hidden=not fresh)


class Chosen(NamedTuple):
    """A scan by its number, and the most similar one among the labelled and those chosen before.

    `nearest` counts the labelled scans first, then all others; None where there is nothing to compare with.
    """

    scan: int
    nearest: int | None
    similarity: float


def choose(
    expected_error: np.ndarray,
    pictures: np.ndarray,
    patients: Sequence[str],
    labelled: np.ndarray,
    *,
    count: int,
    max_similarity: float,
) -> list[Chosen]:
    """Choose scans greedily, each time the one with the largest expected error times difference.

    Difference is 1 minus the correlation with the most similar scan among the labelled and the chosen ones. One scan of
    each patient is chosen, and none with a correlation of `max_similarity` or more.

    Args:
        expected_error: (n,) 1 minus the expected Dice of the mask.
        pictures, labelled: (n, k) and (m, k), rows of length 1, whose products are correlations; see
            `sss_model.data.screening`.
        patients: (n,) the patient of each scan.

    Returns:
        At most `count`; fewer where patients or differing scans run out.
    """
    import numpy as np

    known, names = labelled, list(range(len(labelled)))
    free = np.ones(len(expected_error), dtype=bool)
    chosen: list[Chosen] = []
    while len(chosen) < count:
        alike, nearest = _most_alike(pictures, known)
        free &= alike < max_similarity
        if not free.any():
            break
        best = int(np.argmax(np.where(free, expected_error * (1 - alike), -np.inf)))
        chosen.append(Chosen(best, names[nearest[best]] if names else None, float(alike[best])))
        free &= np.array([patient != patients[best] for patient in patients])
        known = np.concatenate([known, pictures[best : best + 1]])
        names.append(len(labelled) + best)
    return chosen


def _most_alike(pictures: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the highest correlation of each scan with the known ones, at least 0, and the known one's number."""
    import numpy as np

    if not len(known):
        return np.zeros(len(pictures)), np.zeros(len(pictures), dtype=int)
    correlations = pictures @ known.T
    return np.maximum(correlations.max(1), 0), correlations.argmax(1)


class Ranking(NamedTuple):
    """Scans to label, in order, out of all candidates, and an error for each scan that can't be read."""

    suggestions: list[Suggestion]
    candidates: Candidates
    failed: list[str]


class _Assessed(NamedTuple):
    candidate: Candidate
    review: Review
    expected_error: float
    picture: np.ndarray


def rank_scans(
    checkpoint: Checkpoint,
    data: Path,
    *,
    count: int,
    on_scan: Callable[[str, int, int], None] = lambda case, number, total: None,
) -> Ranking:
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
    assessed, failed = _assess(checkpoint, data, candidates, on_scan)
    if not assessed:
        raise InputError(f"none of {len(failed)} scans can be read: {failed[0]}")
    labelled = [_picture(each) for each in candidates.labelled]
    chosen = choose(
        np.array([each.expected_error for each in assessed]),
        np.stack([each.picture for each in assessed]),
        [each.candidate.patient for each in assessed],
        np.array(labelled).reshape(len(labelled), assessed[0].picture.size),
        count=count,
        max_similarity=checkpoint.config.data_checks.max_similarity,
    )
    known = [*candidates.labelled, *(each.candidate for each in assessed)]
    rows = [_suggestion(rank, one, assessed[one.scan], known) for rank, one in enumerate(chosen, start=1)]
    return Ranking(rows, candidates, failed)


def _assess(
    checkpoint: Checkpoint, data: Path, candidates: Candidates, on_scan: Callable[[str, int, int], None]
) -> tuple[list[_Assessed], list[str]]:
    from sss_model.inference.predictor import Predictor

    predictor = Predictor(checkpoint)
    assessed, failed = list[_Assessed](), list[str]()
    volumes = read_ahead([each.scan(data) for each in candidates.open])
    for number, (candidate, (_, coming)) in enumerate(zip(candidates.open, volumes, strict=True), start=1):
        try:
            volume = coming.result()
            assessed.append(_assessed(checkpoint, candidate, volume, predictor.assess(volume)))
        except InputError as error:
            failed.append(str(error))
        on_scan(candidate.case, number, len(candidates.open))
    return assessed, failed


def _assessed(checkpoint: Checkpoint, candidate: Candidate, volume: Volume, assessment: Assessment) -> _Assessed:
    from sss_model.data.screening import thumbnail
    from sss_model.inference.quality import foreground, quality_score

    fit, estimate = checkpoint.meta.quality, assessment.review.estimate
    score = quality_score(assessment.features, foreground(checkpoint.meta.labels), fit.always if fit else [])
    dice = estimate.dice if estimate else score
    # A mask without any structure is taken to be all wrong.
    error = 1.0 if math.isnan(dice) else 1 - dice
    return _Assessed(candidate, assessment.review, error, thumbnail(volume).ravel())


def _picture(candidate: Candidate) -> np.ndarray:
    from sss_model.data.screening import thumbnail
    from sss_model.io.volumes import read_volume

    return thumbnail(read_volume(candidate.image)).ravel()


def _suggestion(rank: int, one: Chosen, assessed: _Assessed, known: list[Candidate]) -> Suggestion:
    from sss_model.inference.quality import EXPECTED_DICE

    each, estimate = assessed.candidate, assessed.review.estimate
    if estimate:
        why = f"Dice {estimate.low:.2f} to {estimate.high:.2f} expected"
    else:
        why = f"the network's doubt is {assessed.expected_error:.2f}, not calibrated"
    others = [reason for reason in assessed.review.reasons if not reason.startswith(EXPECTED_DICE)]
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
