"""PCSW's verdict on the whole volumes that teach, as the teacher sees them a few times in a training."""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.network.prompter import Prompter
from sss_model.orientation import Glance, rotate, view
from sss_model.places import volume_places
from sss_model.preprocess import centre
from sss_model.slices import SliceSet


def survey(
    glance: Glance,
    slices: SliceSet,
    config: Config,
    device: torch.device,
    *,
    turns: list[float] | None = None,
    proportions: Tensor | None = None,
) -> Tensor:
    """Where PCSW rejects what a network makes of some scans, each taken as one clip.

    Args:
        slices: the scans, N slices in all.
        turns: degrees by which each scan is turned before the network sees it; None leaves them as they lie.
        proportions: (cases, K), what the network is told of each scan; None tells it nothing.

    Returns:
        (N, canvas, canvas) uint8 on the CPU, 1 where it rejects, as the scans lie; beyond what is seen it does not.
    """
    rejected = []
    for case in range(len(slices.images)):
        turn = turns[case] if turns else 0.0
        images = view(slices.image(slices.case(case)).to(device), turn, config.data.size)
        told = None if proportions is None else proportions[case].to(device)
        logits = rotate(glance(images, volume_places(len(images), device, told)), -turn)
        spacing = torch.tensor([[slices.distances[case], config.data.spacing_mm, config.data.spacing_mm]])
        prompter = Prompter(config, foreground=logits.shape[1] - 1)
        plausible = prompter.plausible(logits, spacing.expand(len(images), 3), clip=len(images))
        rejected.append(centre((~plausible).to(torch.uint8).cpu(), config.data.canvas, fill=0))
    return torch.cat(rejected)
