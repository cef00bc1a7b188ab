"""Whole-volume analyses of the unlabelled scans by the teacher, at a few moments of the training."""

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


@dataclass(frozen=True)
class TeacherFindings:
    """The findings so far, from which the batches of unlabelled slices are made."""

    orientations: list[float] | None = None
    """Degrees by which each case is rotated before its views are made; None leaves all as they are stored."""
    rejected: Tensor | None = None
    """(N, canvas, canvas) uint8, 1 where the last volume check rejected a pixel's class; None before the first."""
    volume_checks: int = 0
    """Volume checks made so far."""
    proportions: Tensor | None = None
    """(cases, K) as the teacher predicted them last; None before the first time."""
    proportion_checks: int = 0
    """Predictions of the proportions made so far."""


def update_findings(
    findings: TeacherFindings,
    *,
    progress: float,
    predict_slices: SlicePredictor,
    slices: SliceSet,
    config: Config,
    device: torch.device,
) -> TeacherFindings:
    """Run the whole-volume analyses due at training progress `progress` (0 to 1); return the updated findings.

    Args:
        predict_slices: the teacher's.
        slices: the unlabelled scans.
    """
    if config.train.method == "supervised":
        return findings
    if findings.orientations is None and progress >= config.train.orientation_from:
        findings = replace(findings, orientations=best_rotations(predict_slices, slices, config, device))
    due = _due(config.train.proportions_at, progress) if config.model.proportions else 0
    if findings.proportion_checks < due:
        proportions = all_predicted_proportions(predict_slices, slices, findings.orientations, config, device)
        findings = replace(findings, proportions=proportions, proportion_checks=due)
    due = _due(config.volume_checks, progress)
    if findings.volume_checks < due:
        rejected = volume_check(
            predict_slices,
            slices,
            config,
            device,
            orientations=findings.orientations,
            proportions=findings.proportions,
        )
        findings = replace(findings, rejected=rejected, volume_checks=due)
    return findings


def volume_check(
    predict_slices: SlicePredictor,
    slices: SliceSet,
    config: Config,
    device: torch.device,
    *,
    orientations: list[float] | None = None,
    proportions: Tensor | None = None,
) -> Tensor:
    """Find the pixels that PCSW rejects in a network's predictions, with each scan as one clip.

    Args:
        slices: the scans, N slices in all.
        orientations: degrees by which each scan is rotated for the prediction; None rotates none.
        proportions: (cases, K), given to the network with each slice's position; None gives it none.

    Returns:
        (N, canvas, canvas) uint8 on the CPU, 1 where PCSW rejects, in the scans' stored orientation; 0 beyond the
        network's view.
    """
    rejected = []
    for case in range(len(slices.images)):
        rotation = orientations[case] if orientations else 0.0
        images = rotated_view(slices.image(slices.case(case)).to(device), rotation, config.data.size)
        known = None if proportions is None else proportions[case].to(device)
        logits = rotate(predict_slices(images, volume_positions(len(images), device, known)), -rotation)
        spacing = torch.tensor([[slices.distances[case], config.data.spacing_mm, config.data.spacing_mm]])
        prompter = Prompter(config, foreground=logits.shape[1] - 1)
        plausible = prompter.plausible(logits, spacing.expand(len(images), 3), clip=len(images))
        rejected.append(centre((~plausible).to(torch.uint8).cpu(), config.data.canvas, fill=0))
    return torch.cat(rejected)


def _due(moments: Sequence[float], progress: float) -> int:
    return sum(progress >= moment for moment in moments)
