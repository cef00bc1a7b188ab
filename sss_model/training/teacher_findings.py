"""What the teacher finds out about the unlabelled scans while it learns, at a few moments of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.data.preprocessing import centre
from sss_model.data.slice_position import volume_positions
from sss_model.data.slices import SliceSet
from sss_model.inference.orientation import SlicePredictor, rotate, rotated_view
from sss_model.inference.volume_context import all_predicted_proportions, best_rotations
from sss_model.network.prompts import Prompter

# PCSW's verdict on the whole volumes that teach, as the teacher sees them a few times in a training.


def volume_check(
    predict_slices: SlicePredictor,
    slices: SliceSet,
    config: Config,
    device: torch.device,
    *,
    orientations: list[float] | None = None,
    proportions: Tensor | None = None,
) -> Tensor:
    """Where PCSW rejects what a network makes of some scans, each taken as one clip.

    Args:
        slices: the scans, N slices in all.
        orientations: degrees by which each scan is rotated before the network sees it; None leaves them as they lie.
        proportions: (cases, K), what the network is told of each scan; None tells it nothing.

    Returns:
        (N, canvas, canvas) uint8 on the CPU, 1 where it rejects, as the scans lie; beyond what is seen it does not.
    """
    rejected = []
    for case in range(len(slices.images)):
        rotation = orientations[case] if orientations else 0.0
        images = rotated_view(slices.image(slices.case(case)).to(device), rotation, config.data.size)
        told = None if proportions is None else proportions[case].to(device)
        logits = rotate(predict_slices(images, volume_positions(len(images), device, told)), -rotation)
        spacing = torch.tensor([[slices.distances[case], config.data.spacing_mm, config.data.spacing_mm]])
        prompter = Prompter(config, foreground=logits.shape[1] - 1)
        plausible = prompter.plausible(logits, spacing.expand(len(images), 3), clip=len(images))
        rejected.append(centre((~plausible).to(torch.uint8).cpu(), config.data.canvas, fill=0))
    return torch.cat(rejected)


@dataclass(frozen=True)
class TeacherFindings:
    """What is known so far.

    Attributes:
        orientations: degrees by which each case is rotated before its views are made; None leaves them as they lie.
        rejected: (N, canvas, canvas) uint8, 1 where PCSW rejects what the teacher saw in a slice; None before
            a volume check.
        volume_checks: how many volume checks there were.
        proportions: (cases, K) of each case, as the teacher saw them last; None before it looked.
        proportion_checks: how often it looked at proportions.
    """

    orientations: list[float] | None = None
    rejected: Tensor | None = None
    volume_checks: int = 0
    proportions: Tensor | None = None
    proportion_checks: int = 0


def update_findings(
    findings: TeacherFindings,
    *,
    progress: float,
    predict_slices: SlicePredictor,
    slices: SliceSet,
    config: Config,
    device: torch.device,
) -> TeacherFindings:
    """What is known once all has been looked at that is due when the share `progress` of the budget is."""
    if config.train.method == "supervised":
        return findings
    if findings.orientations is None and progress >= config.train.orientation_from:
        findings = replace(findings, orientations=best_rotations(predict_slices, slices, config, device))
    due = _due(config.train.proportions_at, progress) if config.model.proportions else 0
    if findings.proportion_checks < due:
        seen = all_predicted_proportions(predict_slices, slices, findings.orientations, config, device)
        findings = replace(findings, proportions=seen, proportion_checks=due)
    due = _due(config.volume_checks, progress)
    if findings.volume_checks < due:
        told = findings.proportions
        rejected = volume_check(
            predict_slices, slices, config, device, orientations=findings.orientations, proportions=told
        )
        findings = replace(findings, rejected=rejected, volume_checks=due)
    return findings


def _due(moments: Sequence[float], progress: float) -> int:
    return sum(progress >= moment for moment in moments)
