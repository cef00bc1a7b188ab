from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sss_model.manifest import Manifest
from sss_model.predict import Predictor
from sss_model.volumes import Volume, read_volume


@pytest.fixture
def scan(phantom: Path, manifest: Manifest) -> Volume:
    return read_volume(phantom / manifest.split("test")[0].image)


def test_the_same_scan_gives_the_same_mask(checkpoint: Path, scan: Volume) -> None:
    first, second = (Predictor.load(checkpoint).probabilities(scan) for _ in range(2))
    assert np.array_equal(first.numpy(), second.numpy())


def test_a_mask_is_the_same_whether_or_not_its_quality_is_asked_for(checkpoint: Path, scan: Volume) -> None:
    predictor = Predictor.load(checkpoint)
    plain, judged = predictor.segment(scan), predictor.judge(scan).segmentation
    assert np.array_equal(plain.mask.array, judged.mask.array)
    assert np.array_equal(plain.confidence, judged.confidence)


def test_quality_costs_no_further_pass_through_the_network(
    checkpoint: Path, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(checkpoint)
    segment, passes = predictor._network.segment, []
    monkeypatch.setattr(predictor._network, "segment", lambda *a, **k: passes.append(1) or segment(*a, **k))
    predictor.segment(scan)
    plain = len(passes)
    predictor.judge(scan)
    assert len(passes) == 2 * plain > 0
