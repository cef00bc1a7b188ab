"""What every network can do: answer a step's batch, and segment a whole volume."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sss_model.places import volume_places

Spacing = tuple[float, float, float]
"""Millimetres between slices, rows and columns."""


class Network(nn.Module, ABC):
    """Called with a method's inputs, it returns named outputs, one row a slice."""

    @abstractmethod
    def glance(self, images: Tensor, places: Tensor) -> Tensor:
        """Class logits (B, classes, S, S), float32, of slices (B, 3, S, S), each told by itself, at a look.

        Args:
            places: (B, 3) or (B, 3 + K), see `sss_model.places.volume_places`.
        """

    def segment(self, images: Tensor, spacing: Spacing, *, batch: int, proportions: Tensor | None = None) -> Tensor:
        """Class logits of a whole volume.

        Args:
            images: (D, 3, S, S), its slices in order.
            spacing: of the slices as they are given.
            batch: how many slices pass through the encoder at once.
            proportions: (K,) of the volume, where they are known; see `sss_model.proportions`.

        Returns:
            (D, classes, S, S), float32.
        """
        return self.glances(images, volume_places(len(images), images.device, proportions), batch=batch)

    def glances(self, images: Tensor, places: Tensor, *, batch: int) -> Tensor:
        """`glance` at any number of slices, `batch` at once."""
        pieces = zip(images.split(batch), places.split(batch), strict=True)
        return torch.cat([self.glance(*piece) for piece in pieces])
