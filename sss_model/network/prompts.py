"""Prompts of the memory decoder, made by PCSW from the network's own class logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Config, Pcsw
from sss_model.network.base import Prompting, PromptSource
from sss_model.pcsw import Prompts, generate_prompts

POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE, NOTHING = 1, 2, 3, -1  # SAM's labels of coordinates
STRIDE = 4  # of a mask prompt, in pixels of the slice
_LOGIT = 10.0
_LABELS = (POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE)
_WITHOUT_PCSW = {"window": 1, "min_area_mm2": 0.0, "thin": True, "thin_confidence": 0.0, "thin_area_mm2": 0.0}


class PromptBatch(NamedTuple):
    """Up to M prompts for each of K classes in each of B slices, as SAM-2's prompt encoder takes them.

    A prompt is a component of the class map: a point, a box and a mask.

    Attributes:
        points: (B, K, M, 3, 2) x and y in pixels of a point inside, of the box's corner and of the opposite one.
        labels: (B, K, M, 3) SAM's labels of the points; all `NOTHING` where there is no prompt. Prompts come first.
        masks: (B, K, M, S/4, S/4) share of each cell that the component covers.
    """

    points: Tensor
    labels: Tensor
    masks: Tensor

    @property
    def used(self) -> Tensor:
        """(B, K, M) booleans, true where there is a prompt."""
        return self.labels[..., 0] != NOTHING

    def without(self, slices: Tensor) -> PromptBatch:
        """The same prompts, but none in the slices where `slices` (B,) is true."""
        labels = torch.where(slices[:, None, None, None], NOTHING, self.labels)
        return PromptBatch(self.points, labels, self.masks)

    def at(self, slices: Tensor) -> PromptBatch:
        """The prompts of some slices, given by their positions."""
        return PromptBatch(*(field[slices] for field in self))


def encode_prompts(encoder: Any, prompts: PromptBatch, chosen: Tensor, *, size: int) -> tuple[Tensor, Tensor]:
    """Embed prompts with SAM-2's prompt encoder.

    Args:
        encoder: SAM-2's prompt encoder.
        chosen: (P,) positions in the flattened (B, K, M), also of places without a prompt, which SAM embeds as such.
        size: side of a slice in pixels.

    Returns:
        Sparse (P, 4, channels) and dense (P, channels, S/16, S/16) embeddings.
    """
    encoder.input_image_size = (size, size)
    encoder.image_embedding_size = (size // 16, size // 16)
    points, labels, masks = (field.flatten(0, 2)[chosen] for field in prompts)
    sparse, without = encoder(points=(points, labels), boxes=None, masks=None)
    _, dense = encoder(points=None, boxes=None, masks=(2 * masks[:, None] - 1) * _LOGIT)
    return sparse, torch.where((labels[:, :1] != NOTHING)[:, :, None, None], dense, without.to(dense.dtype))


def cell_coverage(components: Tensor) -> Tensor:
    """Share of each 4×4 cell that components (…, S, S), true inside, cover: (…, S/4, S/4) float32.

    >>> components = torch.zeros(1, 8, 8, dtype=torch.bool)
    >>> components[0, :4, :2] = True
    >>> cell_coverage(components)
    tensor([[[0.5000, 0.0000],
             [0.0000, 0.0000]]])
    """
    flat = components.flatten(0, -3)[:, None].float()
    return F.avg_pool2d(flat, STRIDE).view(*components.shape[:-2], *(side // STRIDE for side in components.shape[-2:]))


@dataclass(frozen=True)
class Prompter:
    """Makes prompts for clips of neighbouring slices.

    Args:
        config: its ``pcsw`` section holds the rules; with PCSW off, each of a class's larger components prompts.
        foreground: number of classes without background.
    """

    config: Config
    foreground: int

    @property
    def _rules(self) -> Pcsw:
        rules = self.config.pcsw
        return rules if rules.enabled else rules.model_copy(update=_WITHOUT_PCSW)

    @torch.no_grad()
    def __call__(
        self,
        logits: Tensor,
        spacing: Tensor,
        *,
        clip: int,
        prompting: Prompting | None = None,
    ) -> PromptBatch:
        """Prompts of n clips of `clip` slices, B = n · clip.

        Args:
            logits: (B, foreground + 1, S, S).
            spacing: (B, 3) mm between slices, rows and columns.
            prompting: None prompts every slice from its own class map.
        """
        prompting = prompting or Prompting()
        source = torch.zeros(len(logits), dtype=torch.long) if prompting.source is None else prompting.source.cpu()
        maps, confidence = _class_maps(logits)
        found = []
        for start in range(0, len(logits), clip):
            these = slice(start, start + clip)
            if source[start] == PromptSource.LABEL:
                assert prompting.labels is not None
                labels = prompting.labels[these].cpu().numpy().astype(np.uint8)
                found.append(self._generate(labels, np.ones_like(confidence[these]), spacing[start]))
            else:
                found.append(self._generate(maps[these], confidence[these], spacing[start]))
        prompts = _collect(found, clip, self.foreground, logits.shape[-1])
        if prompting.jitter is not None:
            moved = _jitter(prompts, prompting.jitter.cpu(), self.config.sss.jitter)
            prompts = PromptBatch(*_where(source == PromptSource.LABEL, moved, prompts))
        prompts = prompts.without(source == PromptSource.NONE)
        return PromptBatch(*(field.to(logits.device, non_blocking=True) for field in prompts))

    @torch.no_grad()
    def plausible(self, logits: Tensor, spacing: Tensor, *, clip: int) -> Tensor:
        """(B, S, S) booleans: the pixels whose class PCSW accepts; arguments as when called."""
        maps, confidence = _class_maps(logits)
        kept = [
            self._generate(maps[start : start + clip], confidence[start : start + clip], spacing[start]).keep
            for start in range(0, len(logits), clip)
        ]
        return torch.from_numpy(np.concatenate(kept)).to(logits.device)

    def _generate(self, classes: np.ndarray, confidence: np.ndarray, spacing: Tensor) -> Prompts:
        between, row, column = spacing.tolist()
        return generate_prompts(
            classes, confidence, foreground=self.foreground, spacing=(between, row, column), config=self._rules
        )


def _class_maps(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    probability, classes = logits.float().softmax(1).max(1)
    return classes.to(torch.uint8).cpu().numpy(), probability.cpu().numpy()


def _collect(found: list[Prompts], clip: int, foreground: int, size: int) -> PromptBatch:
    slices = np.concatenate([prompts.slices + number * clip for number, prompts in enumerate(found)]).astype(np.int64)
    classes = np.concatenate([prompts.classes - 1 for prompts in found]).astype(np.int64)
    rank = _ranks(slices * foreground + classes)
    most = int(rank.max(initial=0)) + 1
    shape = (len(found) * clip, foreground, most)
    corners = torch.from_numpy(np.concatenate([prompts.boxes for prompts in found]).reshape(-1, 2, 2))
    inside = torch.from_numpy(np.concatenate([prompts.points for prompts in found]).reshape(-1, 1, 2))
    at = (torch.from_numpy(slices), torch.from_numpy(classes), torch.from_numpy(rank))
    batch = PromptBatch(
        torch.zeros(*shape, 3, 2),
        torch.full((*shape, 3), NOTHING),
        torch.zeros(*shape, size // STRIDE, size // STRIDE),
    )
    # In PCSW a pixel's coordinate is its edge, in SAM its middle.
    batch.points[at] = torch.cat([inside, corners], 1).float() - 0.5
    batch.labels[at] = torch.tensor(_LABELS)
    if len(slices):
        batch.masks[at] = cell_coverage(torch.from_numpy(np.concatenate([_masks(prompts) for prompts in found])))
    return batch


def _masks(prompts: Prompts) -> np.ndarray:
    numbers = np.arange(1, len(prompts.slices) + 1)
    return prompts.components[prompts.slices] == numbers[:, None, None]


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Each entry's rank among the entries of its row."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.searchsorted(ordered, ordered)
    ranks = np.empty(len(rows), dtype=np.int64)
    ranks[order] = np.arange(len(rows)) - first
    return ranks


def _jitter(prompts: PromptBatch, draws: Tensor, share: float) -> PromptBatch:
    """Stretch and shift each box, and its point and mask with it, so that no prompt is the exact label."""
    corner, opposite = prompts.points[..., 1, :], prompts.points[..., 2, :]
    extent = opposite - corner
    moves = ((2 * draws - 1) * share)[:, :, None].unflatten(-1, (2, 2))
    moved = corner + moves[..., 0, :] * extent
    scale = (1 + moves[..., 1, :] - moves[..., 0, :]).expand_as(corner)
    points = moved[..., None, :] + (prompts.points - corner[..., None, :]) * scale[..., None, :]
    return PromptBatch(points, prompts.labels, _warp(prompts.masks, corner, moved, scale))


def _warp(masks: Tensor, corner: Tensor, moved: Tensor, scale: Tensor) -> Tensor:
    """Masks (B, K, M, h, w), shifted so that `corner` goes to `moved`, and scaled around it."""
    side = masks.shape[-1]
    at = (torch.arange(side) + 0.5) * STRIDE
    x, y = at.expand(side, side), at[:, None].expand(side, side)
    grid = torch.stack([x, y], -1) - 0.5
    flat = [value.flatten(0, 2)[:, None, None] for value in (corner, moved, scale)]
    source = flat[0] + (grid - flat[1]) / flat[2].clamp_min(0.1)
    normalised = 2 * (source + 0.5) / (side * STRIDE) - 1
    warped = F.grid_sample(masks.flatten(0, 2)[:, None], normalised, mode="bilinear", align_corners=False)
    return warped.view_as(masks)


def _where(chosen: Tensor, these: PromptBatch, others: PromptBatch) -> list[Tensor]:
    return [
        torch.where(chosen.view(-1, *[1] * (one.ndim - 1)), one, other)
        for one, other in zip(these, others, strict=True)
    ]
