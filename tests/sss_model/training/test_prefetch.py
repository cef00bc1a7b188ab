from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric import Fabric

from sss_model.config import Config
from sss_model.data.manifest import Manifest, cohort
from sss_model.data.slices import SliceCache, SliceSet
from sss_model.training.batches import Batches, Prefetcher


def test_values_are_the_steps_own_wherever_it_starts() -> None:
    squares = Prefetcher(lambda step: step**2, workers=3)
    assert [squares(step, step + 1, step + 2) for step in (5, 6, 7, 2, 3, 9)] == [25, 36, 49, 4, 9, 81]


def test_the_next_steps_are_made_before_they_are_asked_for_and_each_once() -> None:
    made: list[int] = []
    third = threading.Event()

    def make(step: int) -> int:
        made.append(step)
        if step == 2:
            third.set()
        return step

    prefetcher = Prefetcher(make, workers=2)
    prefetcher(0, 1, 2)
    assert third.wait(timeout=60)
    for step in (1, 2, 3):
        prefetcher(step, step + 1, step + 2)
    assert sorted(made)[:4] == [0, 1, 2, 3]
    assert len(made) == len(set(made)) <= 6


def test_what_was_expected_and_is_not_asked_for_is_no_answer() -> None:
    pairs = Prefetcher(lambda at: at, workers=2)
    pairs((0, 1), (1, 1))
    assert pairs((1, 4), (2, 4)) == (1, 4)


def test_an_error_is_raised_at_its_own_step() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise OSError("gone")
        return step

    prefetcher = Prefetcher(make, workers=2)
    assert prefetcher(0, 1) == 0
    with pytest.raises(OSError, match="gone"):
        prefetcher(1)


def test_batches_read_ahead_for_a_gpu_are_those_of_a_cpu(
    recipe: Callable[..., Config],
    phantom: Path,
    manifest: Manifest,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = recipe()
    cache = SliceCache(cache_dir, data_dir=phantom, config=config.data, classes=4)
    patients = cohort(manifest, 1)
    sets = {
        "labelled": SliceSet(cache.images(patients.labelled), cache.labels(patients.labelled), True, [8.0, 8.0]),
        "unlabelled": SliceSet(cache.images(patients.unlabelled), None, True, [8.0] * len(patients.unlabelled)),
    }
    pinned: list[torch.Size] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    # A GPU in name only: batches are read ahead, and stay where they are.
    gpu = SimpleNamespace(
        device=SimpleNamespace(type="cuda"), global_rank=0, world_size=1, to_device=lambda source: source
    )
    ahead = Batches(config, **sets, fabric=gpu)
    plain = Batches(config, **sets, fabric=Fabric(accelerator="cpu", devices=1))
    for step in (3, 4, 5):
        assert torch.equal(ahead.labelled(step).images, plain.labelled(step).images)
        assert torch.equal(ahead.labelled(step).labels, plain.labelled(step).labels)
        one, other = (batches.unlabelled(step, batches.labelled(step)) for batches in (ahead, plain))
        for a, b in zip([one.weak, *one.strong], [other.weak, *other.strong], strict=True):
            assert torch.equal(a, b)
    assert (2, 3, config.data.canvas, config.data.canvas) in pinned
    assert (2, 3, config.data.size, config.data.size) in pinned
