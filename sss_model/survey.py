"""PCSW's verdict on the whole volumes that teach, as the teacher sees them a few times in a training."""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.network.prompter import Prompter
from sss_model.orientation import Glance, rotate
from sss_model.places import volume_places
from sss_model.preprocess import centre
from sss_model.slices import SliceSet


def survey(glance: Glance, slices: SliceSet, turns: list[float] | None, config: Config, device: torch.device) -> Tensor:
    """Where PCSW rejects what a network makes of some scans, each taken as one clip.

    Args:
        slices: the scans, N slices in all.
        turns: degrees by which each scan is turned before the network sees it; None leaves them as they lie.

    Returns:
        (N, canvas, canvas) uint8 on the CPU, 1 where it rejects, as the scans lie; beyond what is seen it does not.
    """
    rejected = []
    for case in range(len(slices.images)):
        turn = turns[case] if turns else 0.0
        images = centre(slices.image(slices.case(case)), config.data.size, fill=0.0).to(device)
        places = volume_places(len(images), device)
        logits = rotate(glance(rotate(images, turn), places), -turn)
        spacing = torch.tensor([[slices.distances[case], config.data.spacing_mm, config.data.spacing_mm]])
        prompter = Prompter(config, foreground=logits.shape[1] - 1)
        plausible = prompter.plausible(logits, spacing.expand(len(images), 3), clip=len(images))
        rejected.append(centre((~plausible).to(torch.uint8).cpu(), config.data.canvas, fill=0))
    return torch.cat(rejected)
