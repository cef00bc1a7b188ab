"""What the teacher finds out about the unlabelled scans while it learns, at a few moments of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.orientation import Glance
from sss_model.overview import find_proportions, find_turns
from sss_model.slices import SliceSet
from sss_model.survey import survey


@dataclass(frozen=True)
class Findings:
    """What is known so far.

    Attributes:
        turns: degrees by which each case is turned before its views are made; None leaves them as they lie.
        rejected: (N, canvas, canvas) uint8, 1 where PCSW rejects what the teacher saw in a slice; None before a survey.
        surveys: how many surveys there were.
        proportions: (cases, K) of each case, as the teacher saw them last; None before it looked.
        looks: how often it looked at proportions.
    """

    turns: list[float] | None = None
    rejected: Tensor | None = None
    surveys: int = 0
    proportions: Tensor | None = None
    looks: int = 0


def find_out(
    findings: Findings, *, spent: float, glance: Glance, slices: SliceSet, config: Config, device: torch.device
) -> Findings:
    """What is known once all has been looked at that is due when the share `spent` of the budget is."""
    if config.train.method == "supervised":
        return findings
    if findings.turns is None and spent >= config.train.turn_from:
        findings = replace(findings, turns=find_turns(glance, slices, config, device))
    due = _due(config.train.proportions_at, spent) if config.model.proportions else 0
    if findings.looks < due:
        seen = find_proportions(glance, slices, findings.turns, config, device)
        findings = replace(findings, proportions=seen, looks=due)
    due = _due(config.surveys, spent)
    if findings.surveys < due:
        told = findings.proportions
        rejected = survey(glance, slices, config, device, turns=findings.turns, proportions=told)
        findings = replace(findings, rejected=rejected, surveys=due)
    return findings


def _due(moments: Sequence[float], spent: float) -> int:
    return sum(spent >= moment for moment in moments)
