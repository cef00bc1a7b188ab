"""The memory decoder: SAM-2's decoder, prompted, walking from slice to slice with Medical-SAM2's memory bank.

Classes are independent rows with a bank each; a slice's image is encoded once for all of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sss_model.network.memory_bank import MemoryBank
from sss_model.network.prompts import STRIDE, PromptBatch, encode_prompts
from sss_model.network.sam2 import MemoryParts

# Where the memory decoder's binary masks join the feature decoder's class logits.


class Masks(NamedTuple):
    """What the memory decoder says of B slices and K foreground classes.

    Attributes:
        logits: (B, K, S/4, S/4), binary.
        iou: (B, K) predicted quality.
        prompted: (B, K) booleans: a prompt in this slice, or in one visited before, has said where the class is.
    """

    logits: Tensor
    iou: Tensor
    prompted: Tensor


def fuse(coarse: Tensor, masks: Masks, gate: Tensor) -> Tensor:
    """Class logits (B, K + 1, S, S): each class's mask, weighted by its gate, is added to it, zero to background.

    Args:
        coarse: (B, K + 1, S, S) class logits of the feature decoder; alone where a class was never prompted.
        gate: (K,).
    """
    logits = masks.logits.float() * (gate * masks.prompted)[:, :, None, None]
    added = F.interpolate(logits, coarse.shape[-2:], mode="bilinear", align_corners=False)
    return coarse + torch.cat([torch.zeros_like(added[:, :1]), added], 1)


_GRID = 8
_MEMORY_SCALE, _MEMORY_BIAS = 20.0, -10.0  # how SAM-2 lays a probability before its memory encoder


class MemoryDecoder(nn.Module):
    """Memory attention, prompt encoder, mask decoder and memory encoder around a bank that is empty at each volume.

    Args:
        parts: SAM-2's modules.
        capacity: entries a bank keeps.
        reads: entries that a slice looks at.
    """

    def __init__(self, parts: MemoryParts, *, capacity: int, reads: int) -> None:
        super().__init__()
        self.position, self._mask_stride = parts.position, parts.mask_stride
        # sam2's modules tell type checkers nothing of what they hold.
        self.memory_attention: Any = parts.memory_attention
        self.memory_encoder: Any = parts.memory_encoder
        self.sam_prompt_encoder: Any = parts.sam_prompt_encoder
        self.sam_mask_decoder: Any = parts.sam_mask_decoder
        self._capacity, self._reads = capacity, reads

    def forward(
        self,
        features: list[Tensor],
        coarse: Tensor,
        prompts: PromptBatch,
        gate: Tensor,
        *,
        clip: int,
        draws: Tensor | None = None,
    ) -> Masks:
        """Decode n clips, all at once, slice by slice.

        Args:
            features: F1..F3 of B = n · `clip` slices.
            coarse: (B, K + 1, S, S) class logits of the feature decoder.
            prompts: of the B slices.
            gate: (K,) how much the masks add to the class logits; the memory holds the sum.
            clip: slices a clip.
            draws: (B, K, reads) uniform numbers for the bank (see `MemoryBank.read`); None for inference.
        """
        # What the feature decoder says enters the memory, but does not learn from what becomes of it there.
        low = F.avg_pool2d(coarse.detach(), STRIDE)
        order = visiting_order(low, clip=clip)
        clips, classes, size = order.shape[1], len(gate), coarse.shape[-1]
        bank = MemoryBank(self._capacity)
        decoder = self.sam_mask_decoder
        fine, middle = decoder.conv_s0(features[0]), decoder.conv_s1(features[1])
        prompted = torch.zeros(clips, classes, dtype=torch.bool, device=coarse.device)
        visits: list[Masks] = []
        for slices in order:
            here, top = prompts.at(slices), features[2][slices]
            prompted = prompted | here.used[:, :, 0]
            looked = self._look(bank, top, classes, draws[slices] if draws is not None else None)
            logits, iou = self._decode(looked, [fine[slices], middle[slices]], here, size)
            visits.append(Masks(logits.unflatten(0, (clips, classes)), iou.view(clips, classes), prompted))
            if len(visits) < len(order):
                self._remember(bank, top, fuse(low[slices], visits[-1], gate), iou)
        back = torch.argsort(order.flatten())
        return Masks(*(torch.cat([visit[field] for visit in visits])[back] for field in range(3)))

    def _look(self, bank: MemoryBank, top: Tensor, classes: int, draws: Tensor | None) -> Tensor:
        """(n·K, C, h, w): the slice's features as each class's memory makes them appear; as they are while it is
        empty, as in Medical-SAM2."""
        rows = top.repeat_interleave(classes, 0)
        if not len(bank):
            return rows
        memories = bank.read(_embedding(rows), self._reads, draws.flatten(0, 1) if draws is not None else None)
        attended = self.memory_attention(
            curr=_tokens(rows),
            curr_pos=_tokens(self.position(rows)),
            memory=memories.transpose(1, 2).flatten(2).permute(2, 0, 1),
            memory_pos=_tokens(self.memory_encoder.position_encoding(memories[:, 0])).repeat(memories.shape[1], 1, 1),
        )
        return attended.permute(1, 2, 0).view_as(rows)

    def _decode(self, looked: Tensor, fine: list[Tensor], prompts: PromptBatch, size: int) -> tuple[Tensor, Tensor]:
        """Mask logits (n·K, S/4, S/4) and predicted IoU (n·K,): the maximum over a row's prompts, or, without any, of
        an empty one."""
        used = prompts.used
        classes, most = used.shape[1:]
        asked = used.clone()
        asked[:, :, 0] = True
        chosen = asked.flatten().nonzero()[:, 0]
        row = chosen // most
        sparse, dense = encode_prompts(self.sam_prompt_encoder, prompts, chosen, size=size)
        masks, iou, _, _ = self.sam_mask_decoder.predict_masks(
            image_embeddings=looked[row],
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[scale[row // classes] for scale in fine],
        )
        # Of SAM's masks the first is the one that is unambiguous.
        return _merge(masks[:, 0], row, len(looked)), _merge(iou[:, 0], row, len(looked))

    def _remember(self, bank: MemoryBank, top: Tensor, fused: Tensor, iou: Tensor) -> None:
        probability = fused.softmax(1)[:, 1:].flatten(0, 1)[:, None]
        rows = top.repeat_interleave(fused.shape[1] - 1, 0)
        # The memory encoder makes of a mask whatever its strides make of it: it must end where the features are.
        side = rows.shape[-1] * self._mask_stride
        laid = F.interpolate(probability * _MEMORY_SCALE + _MEMORY_BIAS, size=(side, side), mode="bilinear")
        memory = self.memory_encoder(rows, laid, skip_mask_sigmoid=True)["vision_features"]
        bank.write(memory, _embedding(rows), iou)


def visiting_order(coarse: Tensor, *, clip: int) -> Tensor:
    """In which order the slices of clips are visited: from the most confident one outwards, both ways.

    A slice's confidence is the mean probability of the pixels that are not background. The start has many of them, at
    least half as many as any slice of the clip: a sure speck is none.

    Args:
        coarse: (n · clip, K + 1, …) class logits.

    Returns:
        (clip, n) positions in 0 … n · clip − 1.
    """
    probability, classes = coarse.detach().float().softmax(1).max(1)
    found = classes > 0
    area = found.sum((1, 2)).view(-1, clip)
    confidence = (probability * found).sum((1, 2)).view(-1, clip) / area.clamp_min(1)
    start = (confidence * (2 * area >= area.amax(1, keepdim=True))).argmax(1, keepdim=True)
    away = (torch.arange(clip, device=coarse.device) - start).abs()
    order = away.argsort(dim=1, stable=True)
    return (order + clip * torch.arange(len(order), device=coarse.device)[:, None]).T


def _tokens(maps: Tensor) -> Tensor:
    # SAM-2's attention wants tokens first: (h·w, R, C).
    return maps.flatten(2).permute(2, 0, 1)


def _embedding(maps: Tensor) -> Tensor:
    """By what a bank finds a slice again: its features, on a grid that doesn't grow with the image."""
    return F.adaptive_avg_pool2d(maps, min(_GRID, maps.shape[-1])).flatten(1)


def _merge(values: Tensor, row: Tensor, rows: int) -> Tensor:
    if len(values) == rows:
        return values
    index = row.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
    return values.new_zeros(rows, *values.shape[1:]).scatter_reduce(0, index, values, "amax", include_self=False)
