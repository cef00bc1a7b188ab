"""CutMix: a strong view, its target and its features receive a box from another slice."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sss_model.config import Views
from sss_model.training.views import ViewDraw


class CutMix(NamedTuple):
    """The boxes that the slices of a view receive, and the slices that they come from.

    Partners are the clips (0, 1), (2, 3), …, slice by slice, which are on one process however many there are; or, for
    some slices, labelled slices, whose labels are pasted with them.

    Attributes:
        boxes: (B, S, S), true inside the box that a slice receives.
        from_labelled: (B,) booleans: whether its partner is a labelled slice.
        clip: slices a clip.

    >>> boxes = torch.zeros(2, 4, 4, dtype=torch.bool)
    >>> boxes[:, :2, :2] = True
    >>> mix = CutMix(boxes, from_labelled=torch.tensor([False, False]), clip=1)
    >>> mix.paste(torch.tensor([1, 2]).view(2, 1, 1).expand(2, 4, 4))[0]
    tensor([[2, 2, 1, 1],
            [2, 2, 1, 1],
            [1, 1, 1, 1],
            [1, 1, 1, 1]])
    """

    boxes: Tensor
    from_labelled: Tensor
    clip: int

    def paste(self, values: Tensor, of_labelled: Tensor | None = None) -> Tensor:
        """Paste each slice's partner into its box.

        Args:
            values: (B, h, w) or (B, C, h, w), on the boxes' grid or a coarser one.
            of_labelled: the same of any number of labelled slices; None leaves all partners unlabelled.
        """
        boxes = self._on(values.shape[-1])
        return torch.where(boxes if values.ndim == 3 else boxes[:, None], self._partner(values, of_labelled), values)

    def blend(self, values: Tensor, of_labelled: Tensor) -> Tensor:
        """Blend numbers (B, C) of whole slices with their partners', by the share of the view that the box covers."""
        share = self.boxes.flatten(1).to(values.dtype).mean(1, keepdim=True)
        return torch.lerp(values, self._partner(values, of_labelled), share)

    def _partner(self, values: Tensor, of_labelled: Tensor | None) -> Tensor:
        partner = values.unflatten(0, (-1, 2, self.clip)).flip(1).flatten(0, 2)
        if of_labelled is None:
            return partner
        labelled = of_labelled[self._partners(len(values), len(of_labelled)).to(values.device)]
        return torch.where(_over(self.from_labelled, values), labelled.to(values.dtype), partner)

    def _partners(self, count: int, labelled: int) -> Tensor:
        # Clips pair off in proportion, so that several processes make the same pairs as one.
        clips = torch.arange(count // self.clip) * (labelled // self.clip) // (count // self.clip)
        return (clips[:, None] * self.clip + torch.arange(self.clip)).flatten()

    def _on(self, side: int) -> Tensor:
        stride = self.boxes.shape[-1] // side
        return self.boxes[:, stride // 2 :: stride, stride // 2 :: stride]


def cutmix_boxes(draw: ViewDraw, config: Views, *, size: int) -> Tensor:
    """Masks (B, size, size), true inside the box that a slice receives from its partner.

    Boxes cover 2 to 40 % of a slice at aspect ratios from 0.3 to 1/0.3, as in UniMatch.

    >>> from sss_model.training.views import draw_views
    >>> draw = draw_views(seed=0, stream=0, step=0, batch=3)
    >>> cutmix_boxes(draw, Views.model_construct(cutmix=1.0), size=64).flatten(1).sum(1)
    tensor([1064, 1430, 1100])
    """
    u = draw.uniform[:, 12:17]
    area, aspect = 0.02 + 0.38 * u[:, 1], 0.3 ** (2 * u[:, 2] - 1)
    half = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).clamp_max(1) / 2
    middle = half + u[:, 3:5] * (1 - 2 * half)
    at = (torch.arange(size, device=u.device) + 0.5) / size
    rows, columns = ((at - middle[:, axis, None]).abs() <= half[:, axis, None] for axis in (0, 1))
    chosen = u[:, 0] < config.cutmix
    return rows[:, :, None] & columns[:, None, :] & chosen[:, None, None]


def _over(flags: Tensor, values: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (values.ndim - 1))
