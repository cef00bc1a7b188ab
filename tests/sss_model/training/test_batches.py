"""The batches of a step, reading ahead, and PCSW's verdict on whole volumes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from sss_model.config import Config
from sss_model.data.manifest import Manifest, cohort
from sss_model.data.slice_position import WIDTH, volume_positions
from sss_model.data.slices import SliceCache, SliceSet
from sss_model.training.batches import Batches, Prefetcher
from sss_model.training.teacher_findings import TeacherFindings, update_findings, volume_check

STILL = {"views.rotation_degrees": 0, "views.scale": 0, "views.shift": 0, "views.flips": False}


def two_scans(config: Config) -> SliceSet:
    """One slice each; noise, so that no turn of it looks like another."""
    side, random = config.data.canvas, np.random.default_rng(0)
    images = [random.random((1, side, side)).astype(np.float16) for _ in range(2)]
    return SliceSet(images, [np.zeros((1, side, side), np.uint8)] * 2, neighbours=True, distances=[8.0, 10.0])


def test_unlabelled_scans_are_rotated_each_by_its_own_angle(recipe: Callable[..., Config]) -> None:
    config = recipe({**STILL, "train.method": "weak_to_strong", "train.batch": 2, "train.unlabelled_batch": 2})
    scans = two_scans(config)
    batches = Batches(config, labelled=scans, unlabelled=scans, fabric=Fabric(accelerator="cpu", devices=1))
    labelled = batches.labelled(0)
    before = batches.unlabelled(0, labelled)
    batches.findings = TeacherFindings(orientations=[90.0 if distance == 8.0 else 0.0 for distance in scans.distances])
    after = batches.unlabelled(0, labelled)
    for view, turned, spacing in zip(before.weak, after.weak, before.spacing, strict=True):
        expected = torch.rot90(view, 1, (1, 2)) if spacing[0] == 8.0 else view
        torch.testing.assert_close(turned, expected, atol=1e-2, rtol=0)
    assert torch.equal(batches.labelled(0).labels, labelled.labels)
    assert len(set(before.spacing[:, 0].tolist())) == 2  # both scans were among them


def test_slice_positions_hold_the_proportions_of_the_volume(recipe: Callable[..., Config]) -> None:
    config = recipe(
        {"train.method": "weak_to_strong", "train.batch": 32, "train.unlabelled_batch": 32, "views.cutmix": 0}
    )
    scans, known = two_scans(config), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    fabric = Fabric(accelerator="cpu", devices=1)
    batches = Batches(config, labelled=scans, unlabelled=scans, fabric=fabric, proportions=known)
    labelled = batches.labelled(0)
    assert not batches.unlabelled(0, labelled).slice_position[:, WIDTH:].any()
    batches.findings = TeacherFindings(proportions=2 * known)
    unlabelled = batches.unlabelled(0, labelled)
    for positions, spacing, scale, off in [
        (labelled.slice_position, labelled.spacing, 1, 0.35),
        (unlabelled.slice_position, unlabelled.spacing, 2, 0.0),
        *((positions, unlabelled.spacing, 2, 0.0) for positions in [view.slice_position for view in unlabelled.strong]),
    ]:
        found = positions[:, WIDTH:]
        silent = (found == 0).all(1)
        expected = scale * known[(spacing[:, 0] == 10.0).long()]
        assert ((found - expected)[~silent].abs() <= off + 1e-6).all()
        assert 0 < silent.sum() < 20 or positions is unlabelled.slice_position
    assert (unlabelled.slice_position[:, WIDTH:] != 0).all()


def test_the_result_of_a_volume_check_moves_with_the_view(recipe: Callable[..., Config]) -> None:
    config = recipe({"train.method": "sss", "train.batch": 2, "train.unlabelled_batch": 2, "sss.clip_every": 2})
    side = config.data.canvas
    bright = np.zeros((1, side, side), np.float16)
    bright[0, side // 2 - 20 : side // 2 + 4, side // 2 - 6 : side // 2 + 16] = 1
    scans = SliceSet([bright], [bright.astype(np.uint8)], neighbours=True, distances=[8.0])
    batches = Batches(config, labelled=scans, unlabelled=scans, fabric=Fabric(accelerator="cpu", devices=1))
    labelled = batches.labelled(1)
    assert batches.unlabelled(1, labelled).plausible is None
    batches.findings = TeacherFindings(
        orientations=[90.0], rejected=torch.from_numpy(bright.astype(np.uint8)), volume_checks=1
    )
    seen = batches.unlabelled(1, labelled)
    shown = seen.weak[:, 1] > 0.5
    assert shown.any()
    assert (seen.plausible == ~shown).float().mean() > 0.99


def test_the_position_of_a_strong_view_is_blended_with_its_partners(recipe: Callable[..., Config]) -> None:
    config = recipe({"train.method": "weak_to_strong", "train.batch": 2, "train.unlabelled_batch": 8})
    side, random = config.data.canvas, np.random.default_rng(0)
    scan = random.random((5, side, side)).astype(np.float16)
    scans = SliceSet([scan], [np.zeros((5, side, side), np.uint8)], neighbours=True, distances=[8.0])
    batches = Batches(config, labelled=scans, unlabelled=scans, fabric=Fabric(accelerator="cpu", devices=1))
    seen = batches.unlabelled(0, batches.labelled(0))
    assert {tuple(place) for place in seen.slice_position.tolist()} <= {
        tuple(place) for place in volume_positions(5).tolist()
    }
    for view in seen.strong:
        positions, untouched = view.slice_position, ~view.mix.boxes.flatten(1).any(1)
        torch.testing.assert_close(positions[untouched], seen.slice_position[untouched])
        assert view.mix.boxes.any()
        assert not torch.allclose(positions, seen.slice_position)


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


def test_a_prefetched_value_for_another_key_is_not_returned() -> None:
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
        for a, b in zip(one.strong, other.strong, strict=True):
            assert torch.equal(a.images, b.images)
        assert torch.equal(one.weak, other.weak)
    assert (2, 3, config.data.canvas, config.data.canvas) in pinned
    assert (2, 3, config.data.size, config.data.size) in pinned


CPU = torch.device("cpu")


def predicts_what_is_bright(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits of a network for which all that is bright is of class 1."""
    seen = torch.where(images[:, 1] > 0.5, 10.0, -10.0)
    return torch.stack([-seen, seen], 1)


def scans(side: int) -> SliceSet:
    """Two volumes with a bright tube; the second also has a speck in one slice."""
    tube = np.zeros((6, side, side), np.float16)
    tube[:, side // 2 - 8 : side // 2 + 4, side // 2 - 8 : side // 2 + 4] = 1
    specked = tube.copy()
    specked[3, side // 2 + 10 : side // 2 + 16, side // 2 + 10 : side // 2 + 16] = 1
    return SliceSet([tube, specked], None, neighbours=True, distances=[8.0, 8.0])


def test_a_speck_is_rejected_where_it_lies(recipe: Callable[..., Config]) -> None:
    config = recipe({"train.method": "sss"})
    slices = scans(config.data.canvas)
    for turns in (None, [0.0, 90.0]):
        rejected = volume_check(predicts_what_is_bright, slices, config, CPU, orientations=turns)
        assert rejected.shape == (12, config.data.canvas, config.data.canvas)
        expected = torch.zeros_like(rejected)
        middle = config.data.canvas // 2
        expected[9, middle + 10 : middle + 16, middle + 10 : middle + 16] = 1
        assert torch.equal(rejected, expected)


def test_volume_checks_are_made_when_they_are_due_and_once(recipe: Callable[..., Config]) -> None:
    config = recipe(
        {
            "train.method": "sss",
            "pcsw.volume_checks": [0.3, 0.6],
            "predict.orientations": 4,
            "train.orientation_from": 0.5,
        }
    )
    slices, looks = scans(config.data.canvas), list[int]()

    def predict_slices(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        looks.append(len(images))
        return predicts_what_is_bright(images, positions)

    def found(findings: TeacherFindings, progress: float) -> tuple[TeacherFindings, int]:
        looks.clear()
        new = update_findings(
            findings, progress=progress, predict_slices=predict_slices, slices=slices, config=config, device=CPU
        )
        return new, len(looks)

    findings, looked = found(TeacherFindings(), 0.2)
    assert (findings, looked) == (TeacherFindings(), 0)
    findings, looked = found(findings, 0.3)
    assert (findings.orientations, findings.volume_checks, looked) == (None, 1, 2)
    assert found(findings, 0.4) == (findings, 0)
    findings, looked = found(findings, 0.7)
    assert (findings.orientations, findings.volume_checks, looked) == ([0.0, 0.0], 2, 2 * 4 + 2)
    # One that was killed before and goes on late makes the last one only.
    assert found(replace(findings, volume_checks=0), 0.9)[1] == 2


def test_other_methods_make_no_volume_checks(recipe: Callable[..., Config]) -> None:
    for changes in ({"train.method": "weak_to_strong"}, {"train.method": "sss", "pcsw.enabled": False}):
        assert recipe({"pcsw.volume_checks": [0.1], **changes}).volume_checks == []
