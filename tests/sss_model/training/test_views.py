"""Views of an image, and CutMix between images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sss_model.config import Config, Data, Views
from sss_model.inference.orientation import rotate
from sss_model.training.cutmix import CutMix, cutmix_boxes
from sss_model.training.views import draw_noise, draw_views, move_images, move_labels, recolour, weak_grid


@pytest.fixture(scope="module")
def config(recipe: Callable[..., Config]) -> Config:
    return recipe()


@pytest.fixture(scope="module")
def views(config: Config) -> Views:
    return config.views


@pytest.fixture(scope="module")
def data(config: Config) -> Data:
    return config.data


def disc(side: int, radius: float) -> torch.Tensor:
    at = torch.arange(side) - (side - 1) / 2
    return ((at[:, None] - 5) ** 2 + at[None, :] ** 2 < radius**2).float()


def test_a_draw_does_not_depend_on_how_many_processes_share_it() -> None:
    whole = draw_views(seed=1, stream=2, step=3, batch=8)
    shares = [draw_views(seed=1, stream=2, step=3, batch=4, rank=rank, world=2) for rank in (0, 1)]
    assert torch.equal(whole.uniform, torch.cat([share.uniform for share in shares]))
    assert whole.noise_seeds == shares[0].noise_seeds + shares[1].noise_seeds


def test_steps_draw_anew() -> None:
    first, second = (draw_views(seed=1, stream=2, step=step, batch=8).uniform for step in (3, 4))
    assert not torch.equal(first, second)


def test_a_view_that_may_not_move_is_the_middle_of_the_canvas(views: Views, data: Data) -> None:
    still = views.model_copy(
        update={"rotation_degrees": 0.0, "scale": 0.0, "shift": 0.0, "flips": False, "local_zoom": 0.0}
    )
    canvas = torch.randn(2, 3, data.canvas, data.canvas)
    moved = move_images(canvas, weak_grid(draw_views(seed=0, stream=0, step=0, batch=2), still, data=data))
    margin = (data.canvas - data.size) // 2
    middle = canvas[:, :, margin : margin + data.size, margin : margin + data.size]
    assert torch.allclose(moved, middle, atol=1e-4)


def test_a_rotated_view_is_the_view_of_a_rotated_scan(views: Views, data: Data) -> None:
    centred = views.model_copy(update={"shift": 0.0})
    canvas = torch.randn(2, 3, data.canvas, data.canvas)
    drawn = draw_views(seed=0, stream=0, step=0, batch=2)
    turned = move_images(canvas, weak_grid(drawn, centred, data=data, rotations=torch.tensor([90.0, 0.0])))
    first, second = (move_images(rotate(canvas, turn), weak_grid(drawn, centred, data=data)) for turn in (90, 0))
    torch.testing.assert_close(turned, torch.stack([first[0], second[1]]), atol=1e-2, rtol=0)


def test_local_zoom_enlarges_or_shrinks_without_folding(views: Views, data: Data) -> None:
    drawn = draw_views(seed=0, stream=0, step=0, batch=64)
    unturned = views.model_copy(update={"flips": False, "rotation_degrees": 0.0})
    flat, bulged = (
        weak_grid(drawn, unturned.model_copy(update={"local_zoom": bulge}), data=data) for bulge in (0.0, 0.9)
    )
    across, down = bulged.diff(dim=2)[..., 0], bulged.diff(dim=1)[..., 1]
    assert across.min() > 0 and down.min() > 0
    zoom = across / flat.diff(dim=2)[..., 0]
    assert (zoom.amin((1, 2)) < 0.5).any() and (zoom.amax((1, 2)) > 1.5).any()


def test_local_zoom_of_nearly_zero_is_nearly_none(views: Views, data: Data) -> None:
    drawn = draw_views(seed=0, stream=0, step=0, batch=8)
    flat, nearly = (weak_grid(drawn, views.model_copy(update={"local_zoom": b}), data=data) for b in (0.0, 1e-6))
    assert torch.allclose(flat, nearly, atol=1e-5)


@pytest.mark.parametrize("bulge", [0.0, 0.5])
def test_labels_move_with_their_images(views: Views, data: Data, bulge: float) -> None:
    mask = disc(data.canvas, 14).expand(8, -1, -1)
    bulging = views.model_copy(update={"local_zoom": bulge})
    grid = weak_grid(draw_views(seed=0, stream=0, step=0, batch=8), bulging, data=data)
    images, labels = move_images(mask[:, None], grid)[:, 0], move_labels(mask.long(), grid)
    assert ((images > 0.5) == (labels == 1)).float().mean() > 0.995
    assert len({int(label.sum()) for label in labels}) > 4  # they did move


def test_a_view_keeps_its_proportions(views: Views, data: Data) -> None:
    # A disc stays a disc under rotation, zoom and flips: as high as it is wide.
    mask = disc(data.canvas, 14).expand(16, -1, -1).long()
    moved = move_labels(mask, weak_grid(draw_views(seed=2, stream=0, step=0, batch=16), views, data=data))
    for one in moved:
        height, width = one.any(1).sum(), one.any(0).sum()
        assert abs(int(height) - int(width)) <= 1


def test_a_strong_view_recolours_and_stays_in_place(views: Views) -> None:
    images = torch.zeros(8, 3, 64, 64)
    images[:, :, 20:40, 10:30] = 3.0
    quiet = views.model_copy(update={"noise": 0.0})
    draw = draw_views(seed=0, stream=2, step=0, batch=8)
    strong = recolour(images, draw_noise(draw, 64), draw, quiet)
    inside, outside = strong[:, :, 23:37, 13:27], strong[:, :, 45:, 40:]
    assert torch.all(inside.amin((1, 2, 3)) > outside.amax((1, 2, 3)))
    assert len(set(inside.mean((1, 2, 3)).tolist())) == 8


def test_noise_is_a_samples_own(views: Views) -> None:
    flat = torch.zeros(4, 3, 32, 32)
    draw = draw_views(seed=0, stream=2, step=0, batch=4)
    whole = recolour(flat, draw_noise(draw, 32), draw, views)
    share = draw_views(seed=0, stream=2, step=0, batch=2, rank=1, world=2)
    assert torch.equal(whole[2:], recolour(flat[2:], draw_noise(share, 32), share, views))


@pytest.fixture(scope="module")
def recipe_views(recipe: Callable[..., Config]) -> Views:
    return recipe().views


def box(slices: int, side: int = 8) -> torch.Tensor:
    boxes = torch.zeros(slices, side, side, dtype=torch.bool)
    boxes[:, 2:5, 3:6] = True
    return boxes


def numbered(slices: int, side: int = 8) -> torch.Tensor:
    return torch.arange(slices).view(-1, 1, 1).expand(slices, side, side)


def test_boxes_cover_what_unimatch_covers(recipe_views: Views) -> None:
    always = recipe_views.model_copy(update={"cutmix": 1.0})
    boxes = cutmix_boxes(draw_views(seed=0, stream=2, step=0, batch=64), always, size=128)
    areas = boxes.float().mean((1, 2))
    assert areas.min() > 0.01
    assert areas.max() < 0.42
    for box in boxes:  # a box is a full rectangle
        rows, columns = box.any(1), box.any(0)
        assert box.sum() == rows.sum() * columns.sum()


def test_cutmix_happens_as_often_as_the_recipe_says(recipe_views: Views) -> None:
    never = recipe_views.model_copy(update={"cutmix": 0.0})
    draws = draw_views(seed=0, stream=2, step=0, batch=512)
    assert not cutmix_boxes(draws, never, size=32).any()
    share = cutmix_boxes(draws, recipe_views, size=32).any(2).any(1).float().mean()
    assert float(share) == pytest.approx(recipe_views.cutmix, abs=0.07)


def test_partners_swap_the_same_box_in_images_and_targets() -> None:
    mix = CutMix(box(4), torch.zeros(4, dtype=torch.bool), clip=1)
    mixed = mix.paste(numbered(4))
    assert mixed[:, 3, 4].tolist() == [1, 0, 3, 2]
    assert mixed[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert torch.equal(mix.paste(numbered(4)[:, None].float())[:, 0], mixed.float())


def test_numbers_of_whole_slices_are_blended_by_the_share_of_the_box() -> None:
    from_labelled = torch.tensor([False, True, False, False])
    mix = CutMix(box(4), from_labelled, clip=1)
    own, of_labelled = torch.arange(4.0)[:, None].expand(4, 2), torch.full((2, 2), 9.0)
    spread = [one[:, :, None, None].expand(-1, -1, 8, 8) for one in (own, of_labelled)]
    torch.testing.assert_close(mix.blend(own, of_labelled), mix.paste(*spread).mean((2, 3)))


def test_clips_swap_slice_by_slice() -> None:
    mix = CutMix(box(8), torch.zeros(8, dtype=torch.bool), clip=2)
    assert mix.paste(numbered(8))[:, 3, 4].tolist() == [2, 3, 0, 1, 6, 7, 4, 5]


def test_a_labelled_partner_comes_with_its_label() -> None:
    mix = CutMix(box(4), torch.tensor([False, True, False, True]), clip=1)
    mixed = mix.paste(numbered(4), 10 + numbered(3))
    assert mixed[:, 3, 4].tolist() == [1, 10, 3, 12]  # four share three labelled ones, in order
    assert mixed[:, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("clip", [1, 2])
@pytest.mark.parametrize("labelled", [4, 8, 16])
def test_two_processes_find_the_labelled_partners_that_one_finds(clip: int, labelled: int) -> None:
    whole = CutMix(box(8), torch.ones(8, dtype=torch.bool), clip).paste(numbered(8), 100 + numbered(labelled))
    half = CutMix(box(4), torch.ones(4, dtype=torch.bool), clip)
    shares = zip(numbered(8).split(4), (100 + numbered(labelled)).split(labelled // 2), strict=True)
    assert torch.equal(whole, torch.cat([half.paste(*share) for share in shares]))


def test_features_are_pasted_where_the_image_was() -> None:
    boxes = torch.zeros(2, 16, 16, dtype=torch.bool)
    boxes[:, :8] = True
    mix = CutMix(boxes, torch.zeros(2, dtype=torch.bool), clip=1)
    pasted = mix.paste(numbered(2, 4)[:, None].float())
    assert pasted[0, 0].tolist() == [[1.0] * 4, [1.0] * 4, [0.0] * 4, [0.0] * 4]
