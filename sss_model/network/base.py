"""The interface of every network: a batch of slices or clips in, class logits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from sss_model.data.slice_position import volume_positions

T = TypeVar("T")

Spacing = tuple[float, float, float]
"""Millimetres between slices, rows and columns."""


class PromptSource(IntEnum):
    """Where the memory decoder's prompts for a slice come from."""

    OWN = 0
    """The network's own class map."""
    NONE = 1
    """Nowhere: the slice has no prompt."""
    LABEL = 2
    """Its label, jittered."""


class Prompting(NamedTuple):
    """Where the prompts of B slices come from; without values, from the network's own class maps."""

    source: Tensor | None = None
    """(B,) of `PromptSource`, the same throughout a clip."""
    labels: Tensor | None = None
    """(B, S, S) class indices, read only where the source is `PromptSource.LABEL`."""
    jitter: Tensor | None = None
    """(B, K, 4) uniform(0, 1) numbers that move the sides of boxes made from labels."""


# Batches and outputs are named tuples and no dataclasses: Fabric and DistributedDataParallel look into tuples for
# tensors, and refuse or overlook frozen dataclasses.
class ClipBatch(NamedTuple):
    """The input of a network: B slices, or n clips of `clip` neighbouring slices each, B = n · clip.

    A network reads what it needs: `seeds` and `perturbed` are for those that see single slices, what follows them for
    `SssSegmenter`.

    >>> batch = ClipBatch(torch.zeros(6, 3, 32, 32), clip=3)
    >>> batch.rows(slice(0, 3)).size
    3
    """

    images: Tensor
    """(B, 3, S, S); S divisible by 32."""
    slice_position: Tensor | None = None
    """(B, 3), or (B, 3 + K) with the volume's proportions; see `sss_model.data.slice_position`."""
    seeds: Tensor | None = None
    """(B,) int64, from which dropout draws; None drops nothing."""
    perturbed: Tensor | None = None
    """(B,) booleans: slices whose features lose channels, as in UniMatch; needs `seeds`."""
    clip: int = 1
    spacing: Tensor | None = None
    """(B, 3) mm between slices, rows and columns; the memory decoder's prompts need it."""
    partners: tuple[Tensor, ...] | None = None
    """Features F1..F3 (B, …) of another view of the same slices, for DFE; None pairs every slice with itself."""
    paired: Tensor | None = None
    """(B,) booleans: slices whose partner is used; the others are paired with themselves."""
    channel_factors: tuple[Tensor, ...] | None = None
    """Per scale, (B, C), multiplied with the enhanced features."""
    prompting: Prompting = Prompting()
    memory_draws: Tensor | None = None
    """(B, K, reads) uniform(0, 1) numbers for the memory bank; None reads deterministically."""
    use_memory: bool = True
    """Whether the memory decoder takes part."""
    memory_alone: bool = False
    """Whether nothing but the memory decoder gets a gradient."""
    keep_features: bool = False
    """Whether the output holds the encoder's features."""

    @property
    def size(self) -> int:
        """B, the number of slices."""
        return len(self.images)

    def rows(self, rows: slice) -> ClipBatch:
        """Some of the slices."""
        return map_tensors(lambda tensor: tensor[rows], self)

    def channels_last(self) -> ClipBatch:
        """The same with images in the memory format that convolutions are fastest at."""
        return self._replace(images=self.images.contiguous(memory_format=torch.channels_last))


def join_streams(streams: Sequence[ClipBatch]) -> ClipBatch:
    """Several batches as one, for a single forward pass.

    A stream without a value that another one has is given the neutral one: no partner, factors of one, no label.

    >>> plain = ClipBatch(torch.zeros(1, 3, 32, 32))
    >>> join_streams([plain, plain._replace(paired=torch.tensor([True]))]).paired
    tensor([False,  True])
    """
    joined: ClipBatch = _join("", streams, [stream.size for stream in streams])
    return joined


def _join(name: str, parts: Sequence[Any], sizes: Sequence[int]) -> Any:
    known = next((part for part in parts if part is not None), None)
    if isinstance(known, Tensor):
        neutral = float(name == "channel_factors")
        shape = known.shape[1:]
        pairs = zip(parts, sizes, strict=True)
        return torch.cat([known.new_full((size, *shape), neutral) if part is None else part for part, size in pairs])
    if isinstance(known, tuple):
        names = getattr(known, "_fields", [name] * len(known))
        columns = zip(*(part if part is not None else [None] * len(known) for part in parts), strict=True)
        return _rebuild(known, [_join(*each, sizes) for each in zip(names, columns, strict=True)])
    return known


class MemoryMasks(NamedTuple):
    """The memory decoder's binary masks of B slices and K foreground classes."""

    logits: Tensor
    """(B, K, S/4, S/4)."""
    iou: Tensor
    """(B, K) predicted overlap of each mask with the truth."""
    prompted: Tensor
    """(B, K) bool, classes that a prompt has reached so far, in this slice or one visited before; the others carry no
    loss."""


class SegmenterOutput(NamedTuple):
    """The output of a network for B slices."""

    coarse: Tensor
    """(B, classes, S, S) float32 class logits of the decoder that needs no prompt."""
    fused: Tensor | None = None
    """The same with the memory decoder's masks added; None where it took no part."""
    masks: MemoryMasks | None = None
    features: tuple[Tensor, ...] | None = None
    """The encoder's features F1..F3, where the batch asks for them."""

    @property
    def logits(self) -> Tensor:
        """The class logits to predict from: `fused` where there is one."""
        return self.coarse if self.fused is None else self.fused

    def split(self, sizes: Sequence[int]) -> list[SegmenterOutput]:
        """The outputs of streams of these sizes, joined before."""
        parts = {id(tensor): tensor.split(list(sizes)) for tensor in tensors_of(self)}
        return [map_tensors(lambda tensor, n=n: parts[id(tensor)][n], self) for n in range(len(sizes))]


def map_tensors(function: Callable[..., Tensor], first: T, *others: T) -> T:
    """Apply a function to the tensors of nested tuples of one structure; all else is the first one's.

    >>> joined = map_tensors(lambda *parts: torch.cat(parts), *[SegmenterOutput(torch.zeros(2, 4, 8, 8))] * 3)
    >>> joined.coarse.shape, joined.fused
    (torch.Size([6, 4, 8, 8]), None)
    """
    result: Any = first
    if isinstance(first, Tensor):
        result = function(first, *others)
    elif isinstance(first, tuple):
        result = _rebuild(first, [map_tensors(function, *each) for each in zip(first, *others, strict=True)])
    return result


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, tuple) else []


def _rebuild(like: Any, values: list[Any]) -> Any:
    return like._make(values) if hasattr(like, "_make") else tuple(values)


class Network(nn.Module, ABC):
    """A network that segments slices, clips and whole volumes."""

    @abstractmethod
    def forward(self, batch: ClipBatch) -> SegmenterOutput: ...

    if TYPE_CHECKING:

        def __call__(self, batch: ClipBatch) -> SegmenterOutput: ...

    def predict_slices(self, images: Tensor, slice_position: Tensor, *, batch: int | None = None) -> Tensor:
        """Per-slice class logits (B, classes, S, S), float32, without memory or prompts.

        Args:
            images: (B, 3, S, S).
            slice_position: (B, 3) or (B, 3 + K), see `ClipBatch`.
            batch: slices that pass through the network at once; None for all.
        """
        size = batch or len(images)
        pieces = zip(images.split(size), slice_position.split(size), strict=True)
        return torch.cat([self(ClipBatch(*piece, use_memory=False)).coarse for piece in pieces])

    def segment(self, images: Tensor, spacing: Spacing, *, batch: int, proportions: Tensor | None = None) -> Tensor:
        """Class logits (D, classes, S, S), float32, of a whole volume.

        Args:
            images: (D, 3, S, S), its slices in order.
            spacing: of the slices as they are given.
            batch: slices that pass through the encoder at once.
            proportions: (K,) of the volume, where they are known; see `sss_model.inference.volume_context`.
        """
        return self.predict_slices(images, volume_positions(len(images), images.device, proportions), batch=batch)


class SliceDropout:
    """Dropout with a random stream for each slice of a batch.

    torch's dropout draws from one stream for the whole batch. Here, neither the batch's composition nor an interruption
    of the training changes a slice's masks: each is the next of the slice's own stream.

    Args:
        seeds: (B,) int64, one a slice.
        device: where masks are drawn; a GPU draws others than a CPU.

    >>> maps, cpu = torch.ones(2, 8, 4, 4), torch.device("cpu")
    >>> together = SliceDropout(torch.tensor([3, 4]), cpu).drop(maps, 0.5)
    >>> torch.equal(together[1:], SliceDropout(torch.tensor([4]), cpu).drop(maps[1:], 0.5))
    True
    """

    def __init__(self, seeds: Tensor, device: torch.device) -> None:
        self._streams = [torch.Generator(device).manual_seed(seed) for seed in seeds.tolist()]

    def drop(self, x: Tensor, share: float) -> Tensor:
        """Set a share of all values (B, C, H, W) to zero and raise the others to keep the mean."""
        _, channels, height, width = x.shape
        # Drawn in the order in which a CPU likes to hold its maps, channels last.
        return x * self._factors((height, width, channels), share).permute(0, 3, 1, 2)

    def drop_channels(self, x: Tensor, share: float, chosen: Tensor) -> Tensor:
        """The same with whole channels, in the slices that `chosen` (B,) says; the others stay."""
        factors = self._factors((x.shape[1],), share)
        return x * torch.where(chosen[:, None], factors, 1.0)[:, :, None, None]

    def _factors(self, shape: tuple[int, ...], share: float) -> Tensor:
        kept = [torch.empty(shape, device=one.device).bernoulli_(1 - share, generator=one) for one in self._streams]
        return torch.stack(kept) / (1 - share)
