from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sss_model.data.canonical import open_dataset
from sss_model.data.screening import measure_alignment
from sss_model.io.volumes import read_pair


@pytest.fixture(scope="module")
def pairs(phantom):
    return [read_pair(files.image, files.label) for files in open_dataset(phantom).cases]


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, -8, 0), (-14, 14, 0)])
def test_a_label_beside_its_image_would_fit_better_elsewhere(pairs, shift):
    for image, label in pairs:
        assert measure_alignment(image, label).fit_ratio > 1.1
        moved = label.like(np.roll(label.array, shift, axis=(0, 1, 2)))
        assert measure_alignment(image, moved).fit_ratio < 0.8


def test_brightness_and_contrast_do_not_matter(pairs):
    image, label = pairs[0]
    other = image.like(image.array * 0.001 - 40)
    assert measure_alignment(other, label).fit_ratio == pytest.approx(
        measure_alignment(image, label).fit_ratio, rel=1e-3
    )


def test_a_label_at_the_edge_of_the_image_is_measured_all_the_same(pairs):
    image, label = pairs[0]
    edge = np.zeros_like(label.array)
    edge[:9, :9] = 1
    assert measure_alignment(image, label.like(edge)).fit_ratio > 0


def test_a_flat_image_says_nothing_of_its_label(pairs):
    image, label = pairs[0]
    assert measure_alignment(image.like(np.ones_like(image.array)), label).fit_ratio is None


def test_an_empty_label_is_not_measured(pairs):
    image, label = pairs[0]
    assert measure_alignment(image, label.like(np.zeros_like(label.array))) is None


def test_labelled_background_is_counted(pairs):
    image, label = pairs[0]
    dark = image.array.copy()
    dark[label.array == 1] = dark.min()
    share = np.count_nonzero(label.array == 1) / np.count_nonzero(label.array)
    assert measure_alignment(replace(image, array=dark), label).dark_share == pytest.approx(share, abs=0.01)
