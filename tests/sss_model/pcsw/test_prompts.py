"""What holds for any map: prompts fit their components, nothing depends on the raster, the cost is linear."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from support.class_maps import SPACING, maps, organ, prompts_of

from sss_model.config import Pcsw
from sss_model.pcsw import Prompts, generate_prompts
from sss_model.pcsw.components import find_components
from sss_model.pcsw.links import find_chains, find_links

LENIENT = {"min_area_mm2": 4.0, "min_confidence": 0.5, "thin_area_mm2": 20.0, "thin_confidence": 0.6}
CONFIGS = st.builds(
    lambda window, thin, most: Pcsw.model_validate(
        {"enabled": True, "warmup": 0, "window": window, "thin": thin, "max_components": most, **LENIENT}
    ),
    st.integers(1, 5),
    st.booleans(),
    st.integers(1, 4),
)


def generate(classes: np.ndarray, confidence: np.ndarray, config: Pcsw) -> Prompts:
    return generate_prompts(classes, confidence, foreground=3, spacing=SPACING, config=config)


@settings(max_examples=150, deadline=None)
@given(maps(), CONFIGS)
def test_the_same_map_gives_the_same_prompts(drawn, config):
    first, second = (generate(drawn[0].copy(), drawn[1].copy(), config) for _ in range(2))
    for name in Prompts.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@settings(max_examples=300, deadline=None)
@given(maps(), CONFIGS, st.sampled_from([0, 1, 2]))
def test_a_mirrored_map_gives_mirrored_prompts(drawn, config, axis):
    plain = generate(*drawn, config)
    mirrored = generate(*(np.flip(array, axis).copy() for array in drawn), config)
    np.testing.assert_array_equal(np.flip(mirrored.keep, axis), plain.keep)
    np.testing.assert_array_equal(mirrored.acceptance, plain.acceptance)
    back = boxes_and_masks(mirrored, axis)
    assert back.keys() == boxes_and_masks(plain, None).keys()
    for key, (box, mask) in boxes_and_masks(plain, None).items():
        np.testing.assert_allclose(back[key][0], box, atol=1e-4)
        np.testing.assert_array_equal(back[key][1], mask)


@settings(max_examples=200, deadline=None)
@given(maps(), CONFIGS, st.sampled_from([0, 1, 2]))
def test_a_mirrored_map_has_mirrored_chains(drawn, config, axis):
    plain = chain_map(*drawn, config)
    mirrored = np.flip(chain_map(*(np.flip(array, axis).copy() for array in drawn), config), axis)
    # Chains are numbered in raster order: alike is what each of them holds.
    pairs = np.unique(np.stack([plain.ravel(), mirrored.ravel()]), axis=1).shape[1]
    assert pairs == len(np.unique(plain)) == len(np.unique(mirrored))


def chain_map(classes: np.ndarray, confidence: np.ndarray, config: Pcsw) -> np.ndarray:
    """(D, H, W) the number of each pixel's chain, background 0."""
    found = find_components(classes, confidence, 3)
    candidates = found.areas * SPACING[1] * SPACING[2] >= config.min_area_mm2
    chains = find_chains(found, find_links(found, candidates, SPACING, config), config.window)
    return found.paint(chains + 1, 0)


def boxes_and_masks(prompts: Prompts, mirror: int | None) -> dict[tuple, tuple[np.ndarray, np.ndarray]]:
    """Box and mask of each prompt, mirrored back, by what tells prompts apart whatever their order."""
    depth, height, width = prompts.components.shape
    found = {}
    for index, box in enumerate(prompts.boxes):
        where, mask = prompts.slices[index], prompts.components[prompts.slices[index]] == index + 1
        x0, y0, x1, y1 = box
        if mirror == 0:
            where = depth - 1 - where
        elif mirror == 1:
            mask, (y0, y1) = mask[::-1], (height - y1, height - y0)
        elif mirror == 2:
            mask, (x0, x1) = mask[:, ::-1], (width - x1, width - x0)
        key = (int(where), int(prompts.classes[index]), bool(prompts.filled[index]), mask.tobytes())
        found[key] = (np.array([x0, y0, x1, y1]), mask)
    return found


@settings(max_examples=200, deadline=None)
@given(maps(), CONFIGS)
def test_prompts_fit_what_they_point_at(drawn, config):
    classes, confidence = drawn
    prompts = generate(classes, confidence, config)
    assert np.array_equal(np.unique(prompts.components), np.arange(prompts.components.max() + 1)) or not len(
        prompts.slices
    )
    assert prompts.components.max(initial=0) == len(prompts.slices)
    for index, (x, y) in enumerate(prompts.points):
        mask = prompts.components[prompts.slices[index]] == index + 1
        assert np.count_nonzero(prompts.components == index + 1) == np.count_nonzero(mask) > 0
        assert mask[int(y), int(np.ceil(x)) - 1] and mask[int(y), int(x)]
        if prompts.filled[index]:
            assert not prompts.keep[prompts.slices[index]][mask].any()
            continue
        assert (classes[prompts.slices[index]][mask] == prompts.classes[index]).all()
        rows, columns = np.nonzero(mask)
        x0, y0, x1, y1 = prompts.boxes[index]
        assert x0 <= columns.min() and columns.max() + 1 <= x1 and y0 <= rows.min() and rows.max() + 1 <= y1
    assert prompts.keep[(classes == 0) & (prompts.components == 0)].mean() > 0.5 or not (classes == 0).any()


@settings(max_examples=100, deadline=None)
@given(maps())
def test_components_are_those_of_scipy(drawn):
    classes, confidence = drawn
    found = find_components(classes, confidence, 3)
    expected = {}
    for where, plane in enumerate(classes):
        for kind in range(1, 4):
            labelled, count = ndimage.label(plane == kind, np.ones((3, 3)))
            for index, (rows, columns) in enumerate(ndimage.find_objects(labelled, count), start=1):
                mask = labelled == index
                box = (columns.start, rows.start, columns.stop, rows.stop)
                moments = tuple(int(2 * axis[mask].sum()) for axis in np.mgrid[: mask.shape[0], : mask.shape[1]][::-1])
                expected[where, kind, mask.tobytes()] = (*box, int(mask.sum()), *moments, confidence[where][mask].sum())
    assert len(found) == len(expected)
    for node, (where, kind) in enumerate(zip(found.slices, found.classes, strict=True)):
        wanted = expected[where, kind, (found.labels[where] == node + 1).tobytes()]
        measured = (*found.boxes[node], found.areas[node], *found.moments[node], found.confidences[node])
        np.testing.assert_allclose(measured, wanted, rtol=1e-5)


def test_a_box_is_tight_in_pixel_edges_and_as_much_wider_as_said_but_inside_the_map():
    classes = np.zeros((3, 30, 40), np.uint8)
    classes[:, 4:12, 10:30] = 2
    np.testing.assert_array_equal(prompts_of(classes, margin_mm=0).boxes[0], [10, 4, 30, 12])
    wide = prompts_of(classes, margin_mm=6, spacing=(5.0, 1.0, 2.0)).boxes[0]
    np.testing.assert_array_equal(wide, [7, 0, 33, 18])


def test_a_point_is_the_middle_of_a_disc_and_inside_the_wall_of_a_ring():
    disc, ring = organ(3, kind=1), organ(3, kind=1, radius=14)
    ring[disc > 0] = 0
    np.testing.assert_array_equal(prompts_of(disc).points[0], [20.5, 20.5])
    x, y = prompts_of(ring).points[0]
    assert 9 < np.hypot(x - 20.5, y - 20.5) < 13


def test_the_largest_components_prompt_and_all_supervise():
    classes = np.maximum(organ(4, radius=4, column=8), np.maximum(organ(4, radius=6), organ(4, radius=5, column=38)))
    prompts = prompts_of(classes, max_components=2)
    assert np.bincount(prompts.slices).tolist() == [2] * 4 and prompts.keep.all()
    assert set(prompts.points[:, 0]) == {20.5, 38.5}


def test_of_components_as_large_the_more_confident_prompts_and_exact_twins_do_together():
    classes = np.maximum(organ(4, column=10, radius=5), organ(4, column=36, radius=5))
    assert set(prompts_of(classes, max_components=1).points[:, 0]) == {10.5, 36.5}
    surer_right = np.where(np.arange(48) < 24, 0.8, 0.9)
    assert set(prompts_of(classes, surer_right, max_components=1).points[:, 0]) == {36.5}


@pytest.mark.parametrize("shape", [(4, 16, 16), (1, 16, 16), (2, 1, 1), (3, 1, 40)])
def test_an_empty_map_gives_no_prompt_and_background_supervises(shape):
    prompts = prompts_of(np.zeros(shape, np.uint8))
    assert (prompts.boxes.shape, prompts.points.shape, len(prompts.slices)) == ((0, 4), (0, 2), 0)
    assert prompts.keep.all() and not prompts.components.any() and np.isnan(prompts.acceptance).all()


def test_a_full_map_is_one_component_a_slice():
    prompts = prompts_of(np.ones((3, 9, 12), np.int64))
    np.testing.assert_array_equal(prompts.boxes, [[0, 0, 12, 9]] * 3)
    assert prompts.keep.all() and prompts.acceptance[0] == 1


def test_a_wrong_map_is_refused():
    with pytest.raises(ValueError, match=r"\(D, H, W\) of one shape, not empty, found \(4, 4\)"):
        prompts_of(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"not empty, found \(0, 4, 4\)"):
        prompts_of(np.zeros((0, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="expected classes 0 to 3, found 0 to 4"):
        prompts_of(np.full((2, 4, 4), [0, 0, 0, 4]))


def test_no_label_goes_in():
    assert set(inspect.signature(generate_prompts).parameters) == {
        "classes",
        "confidence",
        "foreground",
        "spacing",
        "config",
    }


@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_the_work_grows_with_the_slices_even_in_noise(monkeypatch, noise):
    from sss_model.pcsw import links

    pairs = []
    original = links._pairs
    monkeypatch.setattr(links, "_pairs", lambda *args: pairs.append(original(*args)) or pairs[-1])
    draws = np.random.default_rng(0)
    counts = []
    for depth in (8, 16, 32):
        pairs.clear()
        classes = organ(depth)
        speckled = draws.random(classes.shape) < noise
        classes[speckled] = draws.integers(0, 4, int(speckled.sum()))
        prompts_of(classes, min_area_mm2=0)
        counts.append(sum(len(found.earlier) for found in pairs) / depth)
    assert max(counts) < 2 * 3 * 40**2 and max(counts) < 1.5 * min(counts)
