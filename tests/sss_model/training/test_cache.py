from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.data.slices import SliceCache
from sss_model.errors import InputError


@pytest.fixture
def scans(phantom: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom, tmp_path / "scans"))


def open_cache(folder: Path, scans: Path, config: Config) -> SliceCache:
    return SliceCache(folder, data_dir=scans, config=config.data, classes=4)


def test_a_second_reading_needs_no_scan(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    cache, cases = open_cache(tmp_path / "cache", scans, recipe()), manifest.cases[:2]
    images, labels = cache.images(cases), cache.labels(cases)
    shutil.rmtree(scans)
    again = open_cache(tmp_path / "cache", scans, recipe())
    assert all(np.array_equal(a, b) for a, b in zip(images, again.images(cases), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(labels, again.labels(cases), strict=True))
    assert isinstance(images[0], np.memmap)


def test_other_settings_are_other_slices(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    cases = manifest.cases[:1]
    coarse = open_cache(tmp_path / "cache", scans, recipe({"data.spacing_mm": 3.0})).images(cases)[0]
    fine = open_cache(tmp_path / "cache", scans, recipe({"data.spacing_mm": 2.0})).images(cases)[0]
    assert coarse.shape == fine.shape
    assert not np.array_equal(coarse, fine)


def test_a_file_that_is_not_the_manifest_s_is_refused_and_not_kept(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    one, other, *_ = manifest.cases
    for place in ("image", "label"):
        shutil.copyfile(scans / str(getattr(other, place)), scans / str(getattr(one, place)))
    cache = open_cache(tmp_path / "cache", scans, recipe())
    for read in (cache.images, cache.labels):
        with pytest.raises(InputError, match=f"case {one.case}: .* has other content than the manifest says"):
            read((one,))
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path,
    scans: Path,
    manifest: Manifest,
    recipe: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        open_cache(tmp_path / "cache", scans, recipe()).images(manifest.cases[:1])
    assert list((tmp_path / "cache").iterdir()) == []
