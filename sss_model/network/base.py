"""What every network can do: answer a step's batch, and segment a whole volume."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sss_model.data.slice_position import volume_places

# Dropout whose masks are a slice's own, so that neither a batch's make-up nor an interruption changes them.


class SliceNoise:
    """The random streams of a batch's slices: every mask asked for is the next of each slice's stream.

    torch's dropout draws from one stream for all, which a resumed training, a batch in pieces or a second process would
    meet at another place.

    Args:
        seeds: (B,) int64, one a slice.
        device: where masks are drawn; a GPU draws others than a CPU.
    """

    def __init__(self, seeds: Tensor, device: torch.device) -> None:
        self._streams = [torch.Generator(device).manual_seed(seed) for seed in seeds.tolist()]

    def drop(self, x: Tensor, share: float) -> Tensor:
        """Set a share of all values (B, C, H, W) to zero and raise the others to keep the mean."""
        _, channels, height, width = x.shape
        # Drawn as a CPU likes to hold its maps, channels last.
        return x * self._factors((height, width, channels), share).permute(0, 3, 1, 2)

    def drop_channels(self, x: Tensor, share: float, chosen: Tensor) -> Tensor:
        """The same with whole channels, in the slices that `chosen` (B,) says; the others stay."""
        factors = self._factors((x.shape[1],), share)
        return x * torch.where(chosen[:, None], factors, 1.0)[:, :, None, None]

    def _factors(self, shape: tuple[int, ...], share: float) -> Tensor:
        kept = [torch.empty(shape, device=one.device).bernoulli_(1 - share, generator=one) for one in self._streams]
        return torch.stack(kept) / (1 - share)


Spacing = tuple[float, float, float]
"""Millimetres between slices, rows and columns."""


class Network(nn.Module, ABC):
    """Called with a method's inputs, it returns named outputs, one row a slice."""

    @abstractmethod
    def _slice_logits(self, images: Tensor, places: Tensor) -> Tensor:
        """Class logits of one batch, as `predict_slices` returns them."""

    def segment(self, images: Tensor, spacing: Spacing, *, batch: int, proportions: Tensor | None = None) -> Tensor:
        """Class logits of a whole volume.

        Args:
            images: (D, 3, S, S), its slices in order.
            spacing: of the slices as they are given.
            batch: how many slices pass through the encoder at once.
            proportions: (K,) of the volume, where they are known; see `sss_model.inference.volume_context`.

        Returns:
            (D, classes, S, S), float32.
        """
        return self.predict_slices(images, volume_places(len(images), images.device, proportions), batch=batch)

    def predict_slices(self, images: Tensor, places: Tensor, *, batch: int | None = None) -> Tensor:
        """Per-slice class logits (B, classes, S, S), float32, without memory or prompts.

        Args:
            images: (B, 3, S, S).
            places: (B, 3) or (B, 3 + K), see `sss_model.data.slice_position.volume_places`.
            batch: slices that pass through the network at once; None for all.
        """
        size = batch or len(images)
        pieces = zip(images.split(size), places.split(size), strict=True)
        return torch.cat([self._slice_logits(*piece) for piece in pieces])
