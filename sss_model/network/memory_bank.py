"""Medical-SAM2's memory bank: self-sorting when written, resampled by likeness when read.

Rules as in Medical-SAM2 (arXiv 2408.00874), over rows that are independent of each other (one a clip and class). All
are written at once, so all hold equally many entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_IOU_SLACK = 0.1


@dataclass
class MemoryBank:
    """What a volume's slices left behind.

    Attributes:
        capacity: how many entries a row keeps.
    """

    capacity: int
    _memories: list[Tensor] = field(default_factory=list)
    _embeddings: list[Tensor] = field(default_factory=list)
    _ious: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._memories)

    def write(self, memory: Tensor, embedding: Tensor, iou: Tensor) -> None:
        """Append an entry a row; a full row lets go of one or refuses the new one.

        Of a full row, i is the entry least like the new one, j the entry most like i. The new one takes j's place if
        it is farther from i than j is, and its predicted IoU is not far below j's: what stays is diverse and sure.

        Args:
            memory: (R, C, h, w) memory features; gradients stay attached.
            embedding: (R, E) image embeddings, by which entries are found again.
            iou: (R,) predicted quality of the mask behind the memory.
        """
        iou = iou.detach()
        if len(self) < self.capacity:
            self._memories.append(memory)
            self._embeddings.append(embedding)
            self._ious.append(iou)
            return
        place = self._place(memory, iou)
        for entry in range(self.capacity):
            taken = place == entry
            self._memories[entry] = torch.where(taken[:, None, None, None], memory, self._memories[entry])
            self._embeddings[entry] = torch.where(taken[:, None], embedding, self._embeddings[entry])
            self._ious[entry] = torch.where(taken, iou, self._ious[entry])

    def read(self, embedding: Tensor, reads: int, draws: Tensor | None = None) -> Tensor:
        """Choose memories for the present slice, weighted by how like its embedding theirs are.

        Args:
            embedding: (R, E) of the present slice.
            reads: how many memories each row gets.
            draws: (R, reads) uniform(0, 1) numbers that draw entries with replacement, as in training; None takes the
                likeliest ones, as inference does, fewer where there are fewer.

        Returns:
            (R, n, C, h, w).
        """
        likeness = torch.einsum(
            "re,nre->rn", F.normalize(embedding, dim=1), F.normalize(torch.stack(self._embeddings), dim=2)
        )
        weights = likeness.detach().float().softmax(1)
        if draws is None:
            # Sorted stably, so that entries that weigh the same have one order on every machine.
            chosen = weights.argsort(dim=1, descending=True, stable=True)[:, :reads]
        else:
            chosen = torch.searchsorted(weights.cumsum(1), draws[:, :reads].contiguous()).clamp_max(len(self) - 1)
        memories = torch.stack(self._memories, 1)
        return memories.gather(1, chosen[:, :, None, None, None].expand(-1, -1, *memories.shape[2:]))

    def _place(self, memory: Tensor, iou: Tensor) -> Tensor:
        """(R,) the entry whose place the new one takes; -1 where it is refused."""
        held = F.normalize(torch.stack(self._memories, 1).detach().flatten(2).float(), dim=2)
        new = F.normalize(memory.detach().flatten(1).float(), dim=1)
        to_new = torch.einsum("rnf,rf->rn", held, new)
        among = torch.einsum("rnf,rmf->rnm", held, held)
        among.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        rows = torch.arange(len(memory), device=memory.device)
        least = to_new.argmin(1)
        likeness, rival = among[rows, least].max(1)
        better = (to_new[rows, least] < likeness) & (iou > torch.stack(self._ious, 1)[rows, rival] - _IOU_SLACK)
        return torch.where(better, rival, -1)
