"""Slices for training: preprocessed once into a cache of memory maps, and drawn for each step without a saved state."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sss_model.config import Data
from sss_model.data.manifest import Case, check_file
from sss_model.data.preprocessing import image_slices, label_slices
from sss_model.data.slice_position import slice_position
from sss_model.io.volumes import read_pair, read_volume

_VERSION = 1
"""Raised when preprocessing changes, so that older caches are not read."""


class SliceCache:
    """Slices of a data set's cases as memory maps, keyed by the files' content and the preprocessing settings."""

    def __init__(self, folder: Path, *, data_dir: Path, config: Data, classes: int) -> None:
        self._folder, self._data_dir, self._config, self._classes = folder, data_dir, config, classes

    def images(self, cases: tuple[Case, ...]) -> list[np.ndarray]:
        """Per case, standardised slices (D, canvas, canvas) float16, or (D, 3, canvas, canvas) in colour.

        Raises:
            InputError: a scan can't be read, or has other content than the manifest says, for which it would be kept.
        """
        return self._all(cases, self._image)

    def labels(self, cases: tuple[Case, ...]) -> list[np.ndarray]:
        """Per case, class indices (D, canvas, canvas) uint8; raises as `images` does."""
        return self._all(cases, self._label)

    def _all(self, cases: tuple[Case, ...], one: Callable[[Case], Path]) -> list[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            paths = list(pool.map(one, cases))
        # Not in the threads: NumPy parses headers with `ast`, which CPython 3.11 can't do in several threads at once.
        return [np.load(path, mmap_mode="r") for path in paths]

    def _image(self, case: Case) -> Path:
        def make() -> np.ndarray:
            check_file(case.case, self._data_dir / case.image, case.image_sha256)
            volume = read_volume(self._data_dir / case.image, case.case)
            return image_slices(volume, self._config, self._config.canvas).astype(np.float16)

        return self._made([case.image_sha256], make)

    def _label(self, case: Case) -> Path:
        def make() -> np.ndarray:
            check_file(case.case, self._data_dir / str(case.label), case.label_sha256)
            _, label = read_pair(self._data_dir / case.image, self._data_dir / str(case.label), case.case)
            return label_slices(label, self._config, self._config.canvas, self._classes)

        return self._made([case.image_sha256, case.label_sha256, self._classes], make)

    def _made(self, content: list[Any], make: Callable[[], np.ndarray]) -> Path:
        """The file of what `make` returns for this content, written if it is not there."""
        settings = self._config.model_dump(include={"spacing_mm", "clip_percentiles", "window", "colour"})
        key = json.dumps([_VERSION, content, settings, self._config.canvas], sort_keys=True)
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
        if not path.exists():
            _save(path, make())
        return path


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, array)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class SliceSet:
    """All slices of some cases.

    Args:
        images: per case, (D, H, W), or (D, 3, H, W) in colour.
        labels: per case, (D, H, W) class indices; None where labels are not to be seen.
        neighbours: whether a slice's three channels are the one before, itself and the one after (a volume's end
            repeats its last slice), or three times itself. It means nothing to colour, which has its three channels.
        distances: per case, mm between its slices.
    """

    images: Sequence[np.ndarray]
    labels: Sequence[np.ndarray] | None
    neighbours: bool
    distances: Sequence[float]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def image(self, indices: np.ndarray) -> Tensor:
        """Slices (B, 3, H, W) float32 of the given positions in 0 … len(self) − 1."""
        return torch.from_numpy(np.stack([self._stack(*self._locate(index)) for index in indices]).astype(np.float32))

    def label(self, indices: np.ndarray) -> Tensor:
        """Class indices (B, H, W) int64 of the given positions."""
        if self.labels is None:
            raise ValueError("these slices have no labels to be seen")
        located = [self._locate(index) for index in indices]
        return torch.from_numpy(np.stack([self.labels[case][z] for case, z in located]).astype(np.int64))

    def clips(self, indices: np.ndarray, length: int) -> np.ndarray:
        """The clips around some slices: (len(indices) · length,) positions of neighbouring slices of one case each, in
        order. A case that is too short repeats its last slice."""
        return np.concatenate([self._clip(index, length) for index in indices])

    def case(self, number: int) -> np.ndarray:
        """Positions of all slices of a case, in order."""
        return np.arange(self._ends[number] - len(self.images[number]), self._ends[number])

    def cases(self, indices: np.ndarray | int) -> np.ndarray:
        """(B,) positions of the cases that slices belong to."""
        return np.searchsorted(self._ends, indices, side="right")

    def slice_position(self, indices: np.ndarray) -> Tensor:
        """(B, 3) positions of slices in their volumes; see `sss_model.data.slice_position`."""
        located = torch.tensor([[z, len(self.images[case])] for case, z in map(self._locate, indices)])
        return slice_position(*located.unbind(1))

    def distance(self, indices: np.ndarray) -> np.ndarray:
        """(B,) mm between each slice and the next."""
        return np.array([self.distances[self._locate(index)[0]] for index in indices], dtype=np.float32)

    def _clip(self, index: int, length: int) -> np.ndarray:
        case, z = self._locate(index)
        depth = len(self.images[case])
        first = min(max(z - length // 2, 0), max(depth - length, 0))
        return index - z + np.minimum(first + np.arange(length), depth - 1)

    def _locate(self, index: int) -> tuple[int, int]:
        case = int(self.cases(index))
        return case, int(index - (self._ends[case - 1] if case else 0))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(volume) for volume in self.images])

    def _stack(self, case: int, z: int) -> np.ndarray:
        volume = self.images[case]
        if volume.ndim == 4:
            return volume[z]
        reach = (-1, 0, 1) if self.neighbours else (0, 0, 0)
        return np.stack([volume[min(max(z + step, 0), len(volume) - 1)] for step in reach])


def draw(count: int, *, seed: int, stream: int, step: int, batch: int) -> np.ndarray:
    """The slices of one global batch: epoch after epoch, each epoch a fresh seeded permutation.

    Args:
        count: how many slices there are.
        seed, stream: which sequence of permutations.
        step: from 0; the same step always draws the same slices, so a resumed run goes on where it was.
        batch: slices a step, over all processes.

    Returns:
        (batch,) positions in 0 … count − 1.
    """
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    orders = {epoch: np.random.default_rng([seed, stream, epoch]).permutation(count) for epoch in np.unique(epochs)}
    return np.array([orders[epoch][place] for epoch, place in zip(epochs, places, strict=True)])
