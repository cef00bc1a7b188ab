"""What the teacher finds out about the unlabelled scans while it learns, at a few moments of the training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.orientation import Glance
from sss_model.slices import SliceSet
from sss_model.survey import survey
from sss_model.turns import find_turns


@dataclass(frozen=True)
class Findings:
    """What is known so far.

    Attributes:
        turns: degrees by which each case is turned before its views are made; None leaves them as they lie.
        rejected: (N, canvas, canvas) uint8, 1 where PCSW rejects what the teacher saw in a slice; None before a survey.
        surveys: how many surveys there were.
    """

    turns: list[float] | None = None
    rejected: Tensor | None = None
    surveys: int = 0


def find_out(
    findings: Findings, *, spent: float, glance: Glance, slices: SliceSet, config: Config, device: torch.device
) -> Findings:
    """What is known once all has been looked at that is due when the share `spent` of the budget is."""
    if config.train.method == "supervised":
        return findings
    if findings.turns is None and spent >= config.train.turn_from:
        findings = replace(findings, turns=find_turns(glance, slices, config, device))
    due = sum(spent >= share for share in config.surveys)
    if findings.surveys < due:
        rejected = survey(glance, slices, findings.turns, config, device)
        findings = replace(findings, rejected=rejected, surveys=due)
    return findings
