"""The memory decoder: SAM-2's decoder, prompted, going from slice to slice with Medical-SAM2's memory bank.

Classes are independent rows with a bank each; a slice's image is encoded once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sss_model.network.base import MemoryMasks
from sss_model.network.prompts import STRIDE, PromptBatch, encode_prompts
from sss_model.network.sam2 import MemoryParts

_GRID = 8
_IOU_SLACK = 0.1
_MEMORY_SCALE, _MEMORY_BIAS = 20.0, -10.0  # how SAM-2 scales a probability before its memory encoder


class MemoryDecoder(nn.Module):
    """Memory attention, prompt encoder, mask decoder and memory encoder around a bank that starts empty in each volume.

    Args:
        parts: SAM-2's modules.
        capacity: entries that a bank keeps.
        reads: entries that a slice reads.
    """

    def __init__(self, parts: MemoryParts, *, capacity: int, reads: int) -> None:
        super().__init__()
        self.position, self._mask_stride = parts.position, parts.mask_stride
        # sam2's modules are untyped.
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
    ) -> MemoryMasks:
        """Decode n clips, all at once, slice by slice.

        Args:
            features: F1..F3 of B = n · `clip` slices.
            coarse: (B, K + 1, S, S) class logits of the feature decoder.
            prompts: of the B slices.
            gate: (K,) how much the masks add to the class logits; the memory holds the sum.
            clip: slices a clip.
            draws: (B, K, reads) uniform numbers for the bank (see `MemoryBank.read`); None for inference.
        """
        # The coarse logits enter the memory without a gradient.
        low = F.avg_pool2d(coarse.detach(), STRIDE)
        order = visiting_order(low, clip=clip)
        clips, classes, size = order.shape[1], len(gate), coarse.shape[-1]
        bank = MemoryBank(self._capacity)
        decoder = self.sam_mask_decoder
        fine, middle = decoder.conv_s0(features[0]), decoder.conv_s1(features[1])
        prompted = torch.zeros(clips, classes, dtype=torch.bool, device=coarse.device)
        visits: list[MemoryMasks] = []
        for slices in order:
            here, top = prompts.at(slices), features[2][slices]
            prompted = prompted | here.used[:, :, 0]
            attended = self._attend(bank, top, classes, draws[slices] if draws is not None else None)
            logits, iou = self._decode(attended, [fine[slices], middle[slices]], here, size)
            visits.append(MemoryMasks(logits.unflatten(0, (clips, classes)), iou.view(clips, classes), prompted))
            if len(visits) < len(order):
                self._remember(bank, top, fuse_masks(low[slices], visits[-1], gate), iou)
        back = torch.argsort(order.flatten())
        return MemoryMasks(*(torch.cat([visit[field] for visit in visits])[back] for field in range(3)))

    def _attend(self, bank: MemoryBank, top: Tensor, classes: int, draws: Tensor | None) -> Tensor:
        """(n·K, C, h, w): the slice's features after attention to each class's memory; unchanged while that is empty,
        as in Medical-SAM2."""
        rows = top.repeat_interleave(classes, 0)
        if not len(bank):
            return rows
        memories = bank.read(_bank_key(rows), self._reads, draws.flatten(0, 1) if draws is not None else None)
        tokens = self.memory_attention(
            curr=_tokens(rows),
            curr_pos=_tokens(self.position(rows)),
            memory=memories.transpose(1, 2).flatten(2).permute(2, 0, 1),
            memory_pos=_tokens(self.memory_encoder.position_encoding(memories[:, 0])).repeat(memories.shape[1], 1, 1),
        )
        return tokens.permute(1, 2, 0).view_as(rows)

    def _decode(self, attended: Tensor, fine: list[Tensor], prompts: PromptBatch, size: int) -> tuple[Tensor, Tensor]:
        """Mask logits (n·K, S/4, S/4) and predicted IoU (n·K,): the maximum over a row's prompts, or, without any, of
        an empty one."""
        used = prompts.used
        classes, most = used.shape[1:]
        decoded = used.clone()
        decoded[:, :, 0] = True
        chosen = decoded.flatten().nonzero()[:, 0]
        row = chosen // most
        sparse, dense = encode_prompts(self.sam_prompt_encoder, prompts, chosen, size=size)
        masks, iou, _, _ = self.sam_mask_decoder.predict_masks(
            image_embeddings=attended[row],
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[scale[row // classes] for scale in fine],
        )
        # Of SAM's masks the first is the one for unambiguous prompts.
        return _merge(masks[:, 0], row, len(attended)), _merge(iou[:, 0], row, len(attended))

    def _remember(self, bank: MemoryBank, top: Tensor, fused: Tensor, iou: Tensor) -> None:
        probability = fused.softmax(1)[:, 1:].flatten(0, 1)[:, None]
        rows = top.repeat_interleave(fused.shape[1] - 1, 0)
        # The memory encoder's strides must bring the mask to the features' size.
        side = rows.shape[-1] * self._mask_stride
        scaled = F.interpolate(probability * _MEMORY_SCALE + _MEMORY_BIAS, size=(side, side), mode="bilinear")
        memory = self.memory_encoder(rows, scaled, skip_mask_sigmoid=True)["vision_features"]
        bank.write(memory, _bank_key(rows), iou)


def fuse_masks(coarse: Tensor, masks: MemoryMasks, gate: Tensor) -> Tensor:
    """Class logits (B, K + 1, S, S): to each class that was prompted, its mask times its gate is added.

    Args:
        coarse: (B, K + 1, S, S) class logits of the feature decoder, background first.
        gate: (K,).
    """
    logits = masks.logits.float() * (gate * masks.prompted)[:, :, None, None]
    added = F.interpolate(logits, coarse.shape[-2:], mode="bilinear", align_corners=False)
    return coarse + torch.cat([torch.zeros_like(added[:, :1]), added], 1)


def visiting_order(coarse: Tensor, *, clip: int) -> Tensor:
    """The order in which the slices of clips are decoded: from the most confident one outwards, both ways.

    A slice's confidence is the mean probability of its foreground pixels. The first slice has at least half as many of
    them as any slice of the clip, so that no confident speck is chosen.

    Args:
        coarse: (n · clip, K + 1, …) class logits.

    Returns:
        (clip, n) positions in 0 … n · clip − 1.

    >>> coarse = torch.zeros(4, 2, 8, 8)
    >>> coarse[:, 1] = torch.tensor([1.0, 2.0, 3.0, 1.0]).view(4, 1, 1)
    >>> visiting_order(coarse, clip=4).flatten().tolist()
    [2, 1, 3, 0]
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


def _bank_key(maps: Tensor) -> Tensor:
    """Memory-bank key: features pooled to at most 8×8."""
    return F.adaptive_avg_pool2d(maps, min(_GRID, maps.shape[-1])).flatten(1)


def _merge(values: Tensor, row: Tensor, rows: int) -> Tensor:
    if len(values) == rows:
        return values
    index = row.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
    return values.new_zeros(rows, *values.shape[1:]).scatter_reduce(0, index, values, "amax", include_self=False)


@dataclass
class MemoryBank:
    """Medical-SAM2's memory bank (arXiv 2408.00874): self-sorting when written, resampled by similarity when read.

    Rows, one a clip and class, are independent of each other. All are written at once, so all hold equally many
    entries.

    Attributes:
        capacity: entries that a row keeps.

    >>> bank = MemoryBank(capacity=4)
    >>> for number, key in enumerate([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]):
    ...     bank.write(torch.full((1, 1, 1, 1), float(number)), torch.tensor([key]), iou=torch.ones(1))
    >>> bank.read(torch.tensor([[0.0, 1.0]]), reads=2).flatten()
    tensor([2., 1.])
    """

    capacity: int
    _memories: list[Tensor] = field(default_factory=list)
    _embeddings: list[Tensor] = field(default_factory=list)
    _ious: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._memories)

    def write(self, memory: Tensor, embedding: Tensor, iou: Tensor) -> None:
        """Append an entry to each row; a full row replaces one or refuses the new one.

        Of a full row, i is the entry least similar to the new one, j the entry most similar to i. The new one replaces
        j if it is less similar to i than j is, and its predicted IoU is not far below j's: what stays is diverse and of
        good quality.

        Args:
            memory: (R, C, h, w) memory features; gradients stay attached.
            embedding: (R, E) image embeddings, the keys of the entries.
            iou: (R,) predicted quality of the mask behind the memory.
        """
        iou = iou.detach()
        if len(self) < self.capacity:
            self._memories.append(memory)
            self._embeddings.append(embedding)
            self._ious.append(iou)
            return
        replaced = self._replaced(memory, iou)
        for entry in range(self.capacity):
            taken = replaced == entry
            self._memories[entry] = torch.where(taken[:, None, None, None], memory, self._memories[entry])
            self._embeddings[entry] = torch.where(taken[:, None], embedding, self._embeddings[entry])
            self._ious[entry] = torch.where(taken, iou, self._ious[entry])

    def read(self, embedding: Tensor, reads: int, draws: Tensor | None = None) -> Tensor:
        """Choose memories for the present slice, weighted by the similarity of their embeddings to its own.

        Args:
            embedding: (R, E) of the present slice.
            reads: how many memories each row gets.
            draws: (R, reads) uniform(0, 1) numbers that draw entries with replacement, as in training; None takes the
                most similar ones, as inference does, fewer where there are fewer.

        Returns:
            (R, n, C, h, w).
        """
        similarity = torch.einsum(
            "re,nre->rn", F.normalize(embedding, dim=1), F.normalize(torch.stack(self._embeddings), dim=2)
        )
        weights = similarity.detach().float().softmax(1)
        if draws is None:
            # Sorted stably, so that entries that weigh the same have one order on every machine.
            chosen = weights.argsort(dim=1, descending=True, stable=True)[:, :reads]
        else:
            chosen = torch.searchsorted(weights.cumsum(1), draws[:, :reads].contiguous()).clamp_max(len(self) - 1)
        memories = torch.stack(self._memories, 1)
        return memories.gather(1, chosen[:, :, None, None, None].expand(-1, -1, *memories.shape[2:]))

    def _replaced(self, memory: Tensor, iou: Tensor) -> Tensor:
        """(R,) the entry that the new one replaces; -1 where it is refused."""
        held = F.normalize(torch.stack(self._memories, 1).detach().flatten(2).float(), dim=2)
        new = F.normalize(memory.detach().flatten(1).float(), dim=1)
        to_new = torch.einsum("rnf,rf->rn", held, new)
        among = torch.einsum("rnf,rmf->rnm", held, held)
        among.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        rows = torch.arange(len(memory), device=memory.device)
        least = to_new.argmin(1)
        similarity, rival = among[rows, least].max(1)
        better = (to_new[rows, least] < similarity) & (iou > torch.stack(self._ious, 1)[rows, rival] - _IOU_SLACK)
        return torch.where(better, rival, -1)
