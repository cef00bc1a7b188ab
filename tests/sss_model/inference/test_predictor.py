"""Prediction of whole volumes: test-time augmentation, and the largest components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cc3d
import numpy as np
import pytest
import torch

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Predict
from sss_model.data.manifest import Manifest
from sss_model.inference.largest_component import keep_largest_component
from sss_model.inference.orientation import rotate
from sss_model.inference.predictor import Predictor, average
from sss_model.io.volumes import Volume, read_volume


@pytest.fixture
def scan(phantom: Path, manifest: Manifest) -> Volume:
    return read_volume(phantom / manifest.split("test")[0].image)


@pytest.fixture(scope="module")
def sss_checkpoint(train_phantom: Callable[..., Path]) -> Path:
    return train_phantom({"train.method": "sss", "sss.clip": 2})


def test_the_same_scan_gives_the_same_mask(checkpoint: Path, scan: Volume) -> None:
    first, second = (Predictor.load(checkpoint).probabilities(scan) for _ in range(2))
    assert np.array_equal(first.numpy(), second.numpy())


def test_a_mask_is_the_same_whether_or_not_its_quality_is_asked_for(checkpoint: Path, scan: Volume) -> None:
    predictor = Predictor.load(checkpoint)
    plain, assessed = predictor.segment(scan), predictor.assess(scan).segmentation
    assert np.array_equal(plain.mask.array, assessed.mask.array)
    assert np.array_equal(plain.confidence, assessed.confidence)


def test_quality_costs_no_further_pass_through_the_network(
    checkpoint: Path, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(checkpoint)
    segment, passes = predictor._network.segment, []
    monkeypatch.setattr(predictor._network, "segment", lambda *a, **k: passes.append(1) or segment(*a, **k))
    predictor.segment(scan)
    plain = len(passes)
    predictor.assess(scan)
    assert len(passes) == 2 * plain > 0


@pytest.mark.parametrize("size", [32, 96])
def test_a_checkpoint_predicts_at_another_image_size(sss_checkpoint: Path, scan: Volume, size: int) -> None:
    loaded = load_checkpoint(sss_checkpoint)
    # So short a training has no opinion yet; with one of any kind there is something to prompt and to remember.
    head = torch.randn(loaded.weights["decoder.head.weight"].shape, generator=torch.Generator().manual_seed(0))
    data = loaded.config.data
    assert size != data.size
    resized = data.model_copy(update={"size": size, "spacing_mm": data.spacing_mm * data.size / size})
    config = loaded.config.model_copy(update={"data": resized})
    predictor = Predictor(replace(loaded.with_config(config), weights=loaded.weights | {"decoder.head.weight": head}))
    probabilities = predictor.probabilities(scan)
    assert probabilities.shape == (scan.array.shape[scan.slice_axis], 4, size, size)
    torch.testing.assert_close(probabilities.sum(1), torch.ones_like(probabilities[:, 0]))
    mask = predictor(scan).array
    assert mask.shape == scan.array.shape
    assert mask.any()


def test_a_scan_that_lies_otherwise_is_predicted_alike(checkpoint: Path, scan: Volume) -> None:
    loaded = load_checkpoint(checkpoint)
    # So short a training gives it no opinion yet, of what lies where or how.
    head = torch.randn(loaded.weights["decoder.head.weight"].shape, generator=torch.Generator().manual_seed(0))
    loaded = replace(loaded, weights=loaded.weights | {"decoder.head.weight": head})
    # An even side on the network's grid, too: its middle is a middle.
    upright = replace(scan, array=scan.array[:118, :118])
    lies = replace(scan, array=np.ascontiguousarray(np.rot90(upright.array)))

    def likes_what_is_bright_above(images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        above, below = (half.mean((1, 2, 3)) for half in images.chunk(2, dim=2))
        sure = (30 * (above - below)).clamp(0.5, 20)[:, None, None, None]
        return torch.cat([torch.zeros_like(images[:, :1]), sure.expand_as(images)], 1)

    def difference(orientations: int) -> float:
        settings = loaded.config.predict.model_copy(update={"orientations": orientations})
        predictor = Predictor(loaded.with_config(loaded.config.model_copy(update={"predict": settings})))
        predictor._predict_slices = likes_what_is_bright_above  # type: ignore[method-assign]
        expected = np.rot90(predictor.probabilities(upright).numpy(), axes=(2, 3))
        return float(np.abs(expected - predictor.probabilities(lies).numpy()).mean())

    assert difference(4) < 0.1 * difference(1)


def test_strays_are_left_out_where_the_recipe_says_so(checkpoint: Path, scan: Volume) -> None:
    loaded = load_checkpoint(checkpoint)

    def mask(largest: bool) -> np.ndarray:
        settings = loaded.config.predict.model_copy(update={"largest_component": largest})
        predictor = Predictor(loaded.with_config(loaded.config.model_copy(update={"predict": settings})))
        # A heart in the middle, and a piece of one in a corner.
        shown = predictor.probabilities(scan) * 0
        shown[:, 0], shown[:, 1, 40:60, 40:60], shown[2, 1, 4:9, 4:9] = 0.2, 1.0, 1.0
        predictor._softmax = lambda images, **rest: shown  # type: ignore[method-assign]
        assert np.array_equal(predictor.segment(scan).mask.array, predictor.assess(scan).segmentation.mask.array)
        return predictor.segment(scan).mask.array

    whole, one_piece = mask(False), mask(True)
    assert 0 < (one_piece == 1).sum() < (whole == 1).sum()
    assert cc3d.connected_components(one_piece == 1).max() == 1
    assert cc3d.connected_components(whole == 1).max() == 2


def disc_at(row: int, column: int, side: int = 32) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    near = ((rows - row) ** 2 + (columns - column) ** 2 < 16).float()
    return torch.stack([1 - near, near])[None]


def centre(probabilities: torch.Tensor) -> tuple[float, float]:
    weight = probabilities[0, 1]
    places = torch.arange(weight.shape[0], dtype=torch.float32) + 0.5
    return float((weight.sum(1) * places).sum() / weight.sum()), float((weight.sum(0) * places).sum() / weight.sum())


@pytest.mark.parametrize(
    ("flips", "rotations", "views"), [(False, [], 1), (True, [], 4), (False, [12.0, 24.0], 5), (True, [90.0], 6)]
)
def test_every_view_is_rotated_back(flips: bool, rotations: list[float], views: int) -> None:
    image = disc_at(10, 19)
    seen = []

    def segment(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images

    mean = average(
        segment,
        image,
        Predict(orientations=1, flips=flips, rotations=rotations, largest_component=False, batch=1),
        size=32,
    )
    assert len(seen) == views
    assert all(not torch.allclose(seen[0], other) for other in seen[1:])
    assert centre(mean) == pytest.approx(centre(image), abs=0.3)
    torch.testing.assert_close(mean.sum(1), torch.ones(1, 32, 32))


def test_a_quarter_turn_is_exact() -> None:
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(rotate(image, 90), torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=1e-4)


def certain(classes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float() * 0.8 + 0.1


@pytest.fixture
def classes() -> torch.Tensor:
    classes = torch.zeros(4, 16, 16, dtype=torch.long)
    classes[:, 2:6, 2:6] = 1
    classes[1, 3, 3] = 2
    classes[2, 4, 4] = 2  # touches the one above by a corner
    return classes


def test_a_stray_becomes_background(classes: torch.Tensor) -> None:
    strayed = classes.clone()
    strayed[0, 12:14, 12:14] = 1
    strayed[3, 10, 10] = 2
    probabilities = certain(strayed)
    kept = keep_largest_component(probabilities)
    assert torch.equal(kept.argmax(1), classes)
    assert torch.allclose(kept.sum(1), probabilities.sum(1))


def test_what_is_one_piece_stays_as_it_is(classes: torch.Tensor) -> None:
    assert torch.equal(keep_largest_component(certain(classes)), certain(classes))


def test_a_class_that_is_nowhere_is_no_error() -> None:
    nothing = certain(torch.zeros(2, 8, 8, dtype=torch.long))
    assert torch.equal(keep_largest_component(nothing), nothing)
