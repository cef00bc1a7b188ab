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
from sss_model.device import resolve_precision
from sss_model.errors import InputError
from sss_model.fingerprint import unlike
from sss_model.formats import ending_of
from sss_model.label_names import write_label_names
from sss_model.network.network import Spacing
from sss_model.network.prompts import PromptBatch
from sss_model.preprocess import image_slices, restore_with_confidence
from sss_model.slices import SliceSet
from sss_model.test_time import average
from sss_model.volumes import Volume, read_volume, write_volume

_ENDINGS = (".nii.gz", ".nii", ".png")


class Segmentation(NamedTuple):
    """A mask of class indices, uint8, the softmax probability of each voxel's class, and where prompts came from."""

    mask: Volume
    confidence: np.ndarray
    prompt_source: str = "none"


class Predictor:
    """A checkpoint that answers.

    >>> predictor = Predictor.load(Path("checkpoint"))  # doctest: +SKIP
    >>> write_volume(predictor(read_volume(Path("scan.nii.gz"))), Path("mask.nii.gz"))  # doctest: +SKIP
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._config = checkpoint.config
        self._fabric = Fabric(accelerator="auto", devices=1, precision=resolve_precision(self._config.train.precision))
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

    def segment_prompted(self, volume: Volume, prompts: PromptBatch) -> Segmentation:
        """The mask of a volume where a label prompts the memory decoder: one look, without flips and rotations.

        Args:
            prompts: of the volume's slices, on the grid of `sss_model.preprocess.image_slices`.

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
        data = self._config.data
        distance = volume.spacing[volume.slice_axis]
        slices = SliceSet([image_slices(volume, data, data.size)], None, data.neighbours, [distance])
        return slices.image(slices.case(0)), (distance, data.spacing_mm, data.spacing_mm)

    @torch.inference_mode()
    def _prompted(self, volume: Volume, prompts: PromptBatch) -> Tensor:
        images, spacing = self._slices(volume)
        there = PromptBatch(*self._fabric.to_device(tuple(prompts)))
        return self._softmax(self._fabric.to_device(images), spacing, prompts=there).cpu()

    @torch.inference_mode()
    def _averaged(self, images: Tensor, spacing: Spacing) -> Tensor:
        segment = partial(self._softmax, spacing=spacing)
        return average(segment, self._fabric.to_device(images), self._config.predict).cpu()

    def _softmax(self, images: Tensor, spacing: Spacing, **prompted: PromptBatch) -> Tensor:
        with self._fabric.autocast():
            logits = self._network.segment(
                images.contiguous(memory_format=torch.channels_last),
                spacing,
                batch=self._config.predict.batch,
                **prompted,
            )
        return logits.softmax(1)


def predict_files(
    checkpoint: Path, source: Path, destination: Path, *, on_strange: Callable[[Path, str], None] = lambda *_: None
) -> Iterator[tuple[Path, Path]]:
    """Predict a scan, or every scan of a folder; a folder of masks also says what their numbers mean.

    Args:
        checkpoint: a checkpoint's folder.
        source: a .nii, .nii.gz or .png file, or a folder of them.
        destination: the mask's file name, or, for a folder, the folder the masks go to under their scans' names.
        on_strange: called with a scan and each way in which it is unlike those of the training.

    Yields:
        (scan, mask) as each mask has been written.

    Raises:
        InputError: nothing to predict there, the checkpoint or a scan can't be read, or the folder of masks has a
            ``dataset.json`` with other labels.
    """
    predictor = Predictor.load(checkpoint)
    pairs = _pairs(source, destination)
    if not destination.name.endswith(_ENDINGS):
        write_label_names(destination, predictor.checkpoint.meta.labels, file_ending=ending_of(pairs[0][1]))
    for scan, mask in pairs:
        volume = read_volume(scan)
        seen = predictor.checkpoint.meta.fingerprint
        for sentence in unlike(seen, volume) if seen else ():
            on_strange(scan, sentence)
        write_volume(predictor(volume), mask)
        yield scan, mask


def _pairs(source: Path, destination: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        target = destination if destination.name.endswith(_ENDINGS) else destination / source.name
        return [(source, target)]
    if not source.is_dir():
        raise InputError(
            f"{source}: no such file or folder; expected a scan ({', '.join(_ENDINGS)}) or a folder of scans"
        )
    scans = sorted(path for path in source.iterdir() if path.name.endswith(_ENDINGS))
    if not scans:
        raise InputError(f"{source}: no scans in this folder; expected files that end in {', '.join(_ENDINGS)}")
    return [(scan, destination / scan.name) for scan in scans]
