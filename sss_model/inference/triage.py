"""Whether a person should look at a mask, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sss_model.checkpoint import Meta
from sss_model.inference.predictor import Judged
from sss_model.inference.quality import Estimate, QualityFit, foreground, score_of

DOUBT = "expected Dice"


class Triage(NamedTuple):
    """What to tell about one mask.

    Attributes:
        estimate: the Dice to expect; None where the checkpoint was not calibrated or the mask is empty.
        reasons: why to look at it; none if there is no need.
    """

    estimate: Estimate | None
    reasons: tuple[str, ...]


def triage(meta: Meta, judged: Judged, *, look_below: float | None = None) -> Triage:
    """Judge a mask by its signs and its scan.

    Args:
        look_below: expected Dice below which to look; None is the lowest tenth of the validation scans.
    """
    names, fit = foreground(meta.labels), meta.quality
    reasons = list(judged.warnings)
    missing = _missing(judged, names, fit.always if fit else [])
    if missing:
        reasons.append(f"no {' and no '.join(missing)} found, which every validation scan has")
    score = score_of(judged.signs, names, fit.always if fit else [])
    if fit is None or math.isnan(score):
        if not judged.signs.found.any() and not missing:
            reasons.append("nothing found")
        return Triage(None, tuple(reasons))
    estimate = fit.expect(score)
    doubts = doubt(estimate.dice, fit, look_below)
    return Triage(estimate, (*reasons, doubts) if doubts else tuple(reasons))


def doubt(dice: float, fit: QualityFit, look_below: float | None = None) -> str | None:
    """Why to look at a mask of which so much Dice is expected, if that is a reason: it begins with `DOUBT`."""
    limit = fit.look_below if look_below is None else look_below
    if dice >= limit:
        return None
    whose = "the validation scans' lowest tenth" if look_below is None else "the limit"
    return f"{DOUBT} {dice:.2f}, below {whose} {limit:.2f}"


def _missing(judged: Judged, names: Sequence[str], always: Sequence[str]) -> list[str]:
    return [name for name, there in zip(names, judged.signs.found, strict=True) if name in always and not there]
