"""Prediction of whole volumes: a mask on the grid of the volume, without prompts."""

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
from sss_model.inference.largest_component import keep_largest_component
from sss_model.inference.orientation import rotate, rotated_view
from sss_model.inference.quality import QualityFeatures, Review, measure_quality_features, review
from sss_model.inference.volume_context import proportions_for, volume_context
from sss_model.io.volumes import Volume
from sss_model.network.base import Spacing
from sss_model.network.prompts import PromptBatch

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


def average(
    segment: Callable[[Tensor], Tensor],
    canvas: Tensor,
    config: Predict,
    rotation: float = 0.0,
    *,
    size: int,
    on_view: Callable[[Tensor], None] = lambda probabilities: None,
) -> Tensor:
    """Test-time augmentation: mean probabilities (D, classes, S, S) over flipped and rotated views of the slices.

    Args:
        segment: views (D, 3, S, S) to class probabilities of the same size.
        canvas: the slices (D, 3, H, H), larger than a view.
        rotation: degrees by which the scan is rotated beforehand.
        size: S, pixels of a view.
        on_view: called with the probabilities from each view, rotated back.
    """
    views = []
    for probabilities in _views(segment, canvas, config, rotation, size):
        on_view(probabilities)
        views.append(probabilities)
    return torch.stack(views).mean(0)


def _views(
    segment: Callable[[Tensor], Tensor], canvas: Tensor, config: Predict, rotation: float, size: int
) -> Iterator[Tensor]:
    upright = rotated_view(canvas, rotation, size)
    for axes in _FLIPS if config.flips else _FLIPS[:1]:
        yield rotate(segment(upright.flip(axes)).flip(axes), -rotation)
    for degrees in config.rotations:
        for angle in (rotation + degrees, rotation - degrees):
            yield rotate(segment(rotated_view(canvas, angle, size)), -angle)


class Segmentation(NamedTuple):
    """A mask of class indices, uint8, the softmax probability of each voxel's class, and where prompts came from."""

    mask: Volume
    confidence: np.ndarray
    prompt_source: str = "none"


class Assessment(NamedTuple):
    """A segmentation with its predicted quality.

    Attributes:
        features: what the prediction says of its own quality.
        warnings: a sentence for each way in which the scan is unlike those of the training.
        review: the Dice to expect, and why a person should review the mask.
    """

    segmentation: Segmentation
    features: QualityFeatures
    warnings: tuple[str, ...]
    review: Review


class Predictor:
    """A checkpoint on a device, ready to segment volumes.

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
        """The mask of a volume, on the same grid, with the network's confidence."""
        mask, confidence = restore_with_confidence(self.probabilities(volume), volume, self._config.data)
        return Segmentation(volume.like(mask), confidence, self.prompt_source)

    def assess(self, volume: Volume, *, review_below: float | None = None) -> Assessment:
        """Segment a volume and predict the quality of the mask, from the same passes through the network.

        Args:
            review_below: expected Dice below which a mask is worth a review; None is what the checkpoint found.
        """
        planes, votes, meta = self._planes(volume), list[Tensor](), self.checkpoint.meta
        canvas, spacing = self._stacked(planes, volume)
        probabilities = self._averaged(canvas, spacing, lambda view: votes.append(view.argmax(1).to(torch.uint8).cpu()))
        mask, confidence = restore_with_confidence(probabilities, volume, self._config.data)
        [appearance] = measure_cached([planes], self._config.data)
        warnings = tuple(unlike(meta.fingerprint, volume, appearance)) if meta.fingerprint else ()
        features = measure_quality_features(probabilities, votes)
        return Assessment(
            Segmentation(volume.like(mask), confidence, self.prompt_source),
            features,
            warnings,
            review(features, warnings, labels=meta.labels, fit=meta.quality, review_below=review_below),
        )

    def segment_prompted(self, volume: Volume, prompts: PromptBatch) -> Segmentation:
        """The mask of a volume whose memory decoder is prompted from a label; no test-time augmentation.

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
        """``generated`` if the memory decoder is prompted from the network's own maps, else ``none``."""
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
        proportions = proportions_for(self._predict_slices, canvas, 0.0, self._config)
        probabilities = self._softmax(
            rotated_view(canvas, 0.0, self._config.data.size), spacing, proportions, prompts=there
        )
        return self._without_strays(probabilities.cpu())

    @torch.inference_mode()
    def _averaged(
        self, canvas: Tensor, spacing: Spacing, on_view: Callable[[Tensor], None] = lambda probabilities: None
    ) -> Tensor:
        canvas, settings, size = self._fabric.to_device(canvas), self._config.predict, self._config.data.size
        rotation, proportions = volume_context(self._predict_slices, canvas, self._config)
        segment = partial(self._softmax, spacing=spacing, proportions=proportions)
        averaged = average(segment, canvas, settings, rotation, size=size, on_view=on_view)
        return self._without_strays(averaged.cpu())

    def _without_strays(self, probabilities: Tensor) -> Tensor:
        return keep_largest_component(probabilities) if self._config.predict.largest_component else probabilities

    def _predict_slices(self, images: Tensor, slice_position: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with self._fabric.autocast():
            return self._network.predict_slices(images, slice_position, batch=self._batch)

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
