"""Prediction: a volume in, its mask on the volume's own grid out, with no human and no prompt in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from sss_model.checkpoint import Checkpoint, load_checkpoint
from sss_model.config import Predict
from sss_model.data.preprocessing import image_slices, restore_with_confidence
from sss_model.data.slices import SliceSet
from sss_model.device import resolve_precision
from sss_model.errors import InputError
from sss_model.inference.drift import measure_cached, unlike
from sss_model.inference.largest_component import in_one_piece
from sss_model.inference.orientation import rotate, view
from sss_model.inference.quality import Signs, measure_signs
from sss_model.inference.volume_context import look_over, proportions_from
from sss_model.io.volumes import Volume
from sss_model.network.base import Spacing
from sss_model.network.prompts import PromptBatch

# Test-time augmentation: one prediction from several looks at the same slices.


_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


def average(
    segment: Callable[[Tensor], Tensor],
    canvas: Tensor,
    config: Predict,
    turn: float = 0.0,
    *,
    size: int,
    on_look: Callable[[Tensor], None] = lambda look: None,
) -> Tensor:
    """Mean probabilities (D, classes, S, S) over flipped and rotated views of a volume's slices, each turned back.

    Args:
        segment: views (D, 3, S, S) to class probabilities of the same size.
        canvas: the slices (D, 3, H, H), with more around than a view shows.
        turn: degrees by which the scan is turned beforehand.
        size: S, pixels of a view.
        on_look: called with the probabilities from each view.
    """
    looks = []
    for look in _looks(segment, canvas, config, turn, size):
        on_look(look)
        looks.append(look)
    return torch.stack(looks).mean(0)


def _looks(
    segment: Callable[[Tensor], Tensor], canvas: Tensor, config: Predict, turn: float, size: int
) -> Iterator[Tensor]:
    turned = view(canvas, turn, size)
    for axes in _FLIPS if config.flips else _FLIPS[:1]:
        yield rotate(segment(turned.flip(axes)).flip(axes), -turn)
    for degrees in config.rotations:
        for angle in (turn + degrees, turn - degrees):
            yield rotate(segment(view(canvas, angle, size)), -angle)


class Segmentation(NamedTuple):
    """A mask of class indices, uint8, the softmax probability of each voxel's class, and where prompts came from."""

    mask: Volume
    confidence: np.ndarray
    prompt_source: str = "none"


class Judged(NamedTuple):
    """A segmentation, what it says of its own quality, and a sentence for each way in which its scan is unlike those of
    the training."""

    segmentation: Segmentation
    signs: Signs
    warnings: tuple[str, ...]


class Predictor:
    """A checkpoint that answers.

    >>> predictor = Predictor.load(Path("checkpoint"))  # doctest: +SKIP
    >>> write_volume(predictor(read_volume(Path("scan.nii.gz"))), Path("mask.nii.gz"))  # doctest: +SKIP
    """

    def __init__(self, checkpoint: Checkpoint, fabric: Fabric | None = None) -> None:
        self.checkpoint = checkpoint
        self._config, self._batch = checkpoint.config, checkpoint.config.predict.batch
        self._fabric = fabric or Fabric(
            accelerator="auto", devices=1, precision=resolve_precision(self._config.train.precision)
        )
        network = checkpoint.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = self._fabric.to_device(network)

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Read a checkpoint folder.

        Raises:
            InputError: it is missing or damaged.
        """
        return cls(load_checkpoint(folder))

    def __call__(self, volume: Volume) -> Volume:
        """The mask of a volume: class indices, uint8, on the same grid."""
        return self.segment(volume).mask

    def segment(self, volume: Volume) -> Segmentation:
        """The mask of a volume, on the same grid, and how sure the network is of it."""
        mask, confidence = restore_with_confidence(self.probabilities(volume), volume, self._config.data)
        return Segmentation(volume.like(mask), confidence, self.prompt_source)

    def judge(self, volume: Volume) -> Judged:
        """`segment`, and what it and the scan tell of the mask's quality, from the same passes through the network."""
        planes, votes = self._planes(volume), list[Tensor]()
        canvas, spacing = self._stacked(planes, volume)
        probabilities = self._averaged(canvas, spacing, lambda look: votes.append(look.argmax(1).to(torch.uint8).cpu()))
        mask, confidence = restore_with_confidence(probabilities, volume, self._config.data)
        seen = self.checkpoint.meta.fingerprint
        [appearance] = measure_cached([planes], self._config.data)
        return Judged(
            Segmentation(volume.like(mask), confidence, self.prompt_source),
            measure_signs(probabilities, votes),
            tuple(unlike(seen, volume, appearance)) if seen else (),
        )

    def segment_prompted(self, volume: Volume, prompts: PromptBatch) -> Segmentation:
        """The mask of a volume where a label prompts the memory decoder: one look, without flips and rotations.

        Args:
            prompts: of the volume's slices, on the grid of `sss_model.data.preprocessing.image_slices`.

        Raises:
            InputError: the checkpoint's network has no memory decoder to be prompted.
        """
        if self.prompt_source == "none":
            raise InputError(f"the checkpoint's method {self._config.train.method} takes no prompt; expected sss")
        mask, confidence = restore_with_confidence(self._prompted(volume, prompts), volume, self._config.data)
        return Segmentation(volume.like(mask), confidence, "oracle")

    @property
    def prompt_source(self) -> str:
        """``generated`` where the memory decoder is prompted with the network's own maps, else ``none``."""
        return "generated" if self._config.train.method == "sss" and self._config.sss.memory else "none"

    def probabilities(self, volume: Volume) -> Tensor:
        """Class probabilities (D, classes, S, S) on the network's grid, on the CPU."""
        return self._averaged(*self._slices(volume))

    def _slices(self, volume: Volume) -> tuple[Tensor, Spacing]:
        return self._stacked(self._planes(volume), volume)

    def _planes(self, volume: Volume) -> np.ndarray:
        return image_slices(volume, self._config.data, self._config.data.canvas)

    def _stacked(self, planes: np.ndarray, volume: Volume) -> tuple[Tensor, Spacing]:
        data = self._config.data
        distance = volume.spacing[volume.slice_axis]
        slices = SliceSet([planes], None, data.neighbours, [distance])
        return slices.image(slices.case(0)), (distance, data.spacing_mm, data.spacing_mm)

    @torch.inference_mode()
    def _prompted(self, volume: Volume, prompts: PromptBatch) -> Tensor:
        canvas, spacing = self._slices(volume)
        canvas = self._fabric.to_device(canvas)
        there = PromptBatch(*self._fabric.to_device(tuple(prompts)))
        proportions = proportions_from(self._predict_slices, canvas, 0.0, self._config)
        probabilities = self._softmax(view(canvas, 0.0, self._config.data.size), spacing, proportions, prompts=there)
        return in_one_piece(probabilities.cpu(), self._config.predict)

    @torch.inference_mode()
    def _averaged(
        self, canvas: Tensor, spacing: Spacing, on_look: Callable[[Tensor], None] = lambda look: None
    ) -> Tensor:
        canvas, settings, size = self._fabric.to_device(canvas), self._config.predict, self._config.data.size
        turn, proportions = look_over(self._predict_slices, canvas, self._config)
        segment = partial(self._softmax, spacing=spacing, proportions=proportions)
        averaged = average(segment, canvas, settings, turn, size=size, on_look=on_look)
        return in_one_piece(averaged.cpu(), settings)

    def _predict_slices(self, images: Tensor, places: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with self._fabric.autocast():
            return self._network.predict_slices(images, places, batch=self._batch)

    def _softmax(self, images: Tensor, spacing: Spacing, proportions: Tensor | None, **prompted: PromptBatch) -> Tensor:
        with self._fabric.autocast():
            logits = self._network.segment(
                images.contiguous(memory_format=torch.channels_last),
                spacing,
                batch=self._batch,
                proportions=proportions,
                **prompted,
            )
        return logits.softmax(1)
