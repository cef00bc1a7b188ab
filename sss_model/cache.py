"""Preprocessed volumes on disk, made once, so that training never decompresses a scan again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sss_model.config import Data
from sss_model.content import check_file
from sss_model.manifest import Case
from sss_model.preprocess import image_slices, label_slices
from sss_model.volumes import read_pair, read_volume

# Raised when preprocessing changes, so that older caches are not read.
_VERSION = 1


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

    def _all(self, cases: tuple[Case, ...], one: Callable[[Case], np.ndarray]) -> list[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, cases))

    def _image(self, case: Case) -> np.ndarray:
        def make() -> np.ndarray:
            check_file(case.case, self._data_dir / case.image, case.image_sha256)
            volume = read_volume(self._data_dir / case.image, case.case)
            return image_slices(volume, self._config, self._config.canvas).astype(np.float16)

        return self._memoise([case.image_sha256], make)

    def _label(self, case: Case) -> np.ndarray:
        def make() -> np.ndarray:
            check_file(case.case, self._data_dir / str(case.label), case.label_sha256)
            _, label = read_pair(self._data_dir / case.image, self._data_dir / str(case.label), case.case)
            return label_slices(label, self._config, self._config.canvas, self._classes)

        return self._memoise([case.image_sha256, case.label_sha256, self._classes], make)

    def _memoise(self, content: list[Any], make: Callable[[], np.ndarray]) -> np.ndarray:
        settings = self._config.model_dump(include={"spacing_mm", "clip_percentiles", "window", "colour"})
        key = json.dumps([_VERSION, content, settings, self._config.canvas], sort_keys=True)
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
        if not path.exists():
            _save(path, make())
        return np.load(path, mmap_mode="r")


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
