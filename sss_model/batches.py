"""What one step sees: a labelled batch in one view, an unlabelled batch in one weak and two strong views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from sss_model.config import Config
from sss_model.slices import SliceSet, draw
from sss_model.views import Draw, cutmix_boxes, draw_views, move_images, move_labels, paste, recolour, weak_grid

# Names of the random streams; each is a sequence of its own under the one seed.
_LABELLED, _UNLABELLED, _STRONG = 0, 1, 2


@dataclass(frozen=True)
class Labelled:
    images: Tensor
    """(B, 3, S, S)."""
    labels: Tensor
    """(B, S, S) class indices."""


@dataclass(frozen=True)
class Unlabelled:
    weak: Tensor
    """(B, 3, S, S)."""
    strong: list[Tensor]
    """Two views (B, 3, S, S), aligned with the weak one but for the pasted boxes."""
    boxes: list[Tensor]
    """Per strong view, (B, S, S): where it shows its partner."""


class Batches:
    """Makes any step's batches from the seed alone."""

    def __init__(self, config: Config, *, labelled: SliceSet, unlabelled: SliceSet, fabric: Fabric) -> None:
        self._config, self._labelled, self._unlabelled = config, labelled, unlabelled
        self._device, self._rank, self._world = fabric.device, fabric.global_rank, fabric.world_size

    def labelled(self, step: int) -> Labelled:
        """The labelled batch of a step, moved and recoloured."""
        batch, views = self._config.train.batch, self._config.views
        indices = self._indices(self._labelled, _LABELLED, step, batch)
        drawn = self._draw(_LABELLED, step, batch)
        grid = weak_grid(drawn, views, data=self._config.data)
        images = move_images(self._on_device(self._labelled.image(indices)), grid)
        labels = move_labels(self._labelled.label(indices).to(self._device), grid)
        return Labelled(recolour(images, drawn, views), labels)

    def unlabelled(self, step: int) -> Unlabelled:
        """The unlabelled batch of a step in its three views."""
        batch, views, size = self._config.train.unlabelled_batch, self._config.views, self._config.data.size
        indices = self._indices(self._unlabelled, _UNLABELLED, step, batch)
        grid = weak_grid(self._draw(_UNLABELLED, step, batch), views, data=self._config.data)
        weak = move_images(self._on_device(self._unlabelled.image(indices)), grid)
        draws = [self._draw(_STRONG + view, step, batch) for view in range(2)]
        boxes = [cutmix_boxes(drawn, views, size=size) for drawn in draws]
        strong = [paste(recolour(weak, drawn, views), box) for drawn, box in zip(draws, boxes, strict=True)]
        return Unlabelled(weak, strong, boxes)

    def _indices(self, slices: SliceSet, stream: int, step: int, batch: int) -> np.ndarray:
        whole = draw(len(slices), seed=self._config.seed, stream=stream, step=step, batch=batch * self._world)
        return whole[self._rank * batch : (self._rank + 1) * batch]

    def _draw(self, stream: int, step: int, batch: int) -> Draw:
        drawn = draw_views(
            seed=self._config.seed, stream=stream, step=step, batch=batch, rank=self._rank, world=self._world
        )
        return drawn.to(self._device)

    def _on_device(self, images: Tensor) -> Tensor:
        return images.to(self._device, non_blocking=True)
