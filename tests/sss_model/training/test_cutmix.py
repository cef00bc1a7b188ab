"""CutMix: boxes, partners and what comes with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sss_model.config import Config, Views
from sss_model.training.cutmix import CutMix, cutmix_boxes
from sss_model.training.views import draw_views


@pytest.fixture(scope="module")
def views(recipe: Callable[..., Config]) -> Views:
    return recipe().views


def box(slices: int, side: int = 8) -> torch.Tensor:
    boxes = torch.zeros(slices, side, side, dtype=torch.bool)
    boxes[:, 2:5, 3:6] = True
    return boxes


def numbered(slices: int, side: int = 8) -> torch.Tensor:
    return torch.arange(slices).view(-1, 1, 1).expand(slices, side, side)


def test_boxes_cover_what_unimatch_covers(views: Views) -> None:
    always = views.model_copy(update={"cutmix": 1.0})
    boxes = cutmix_boxes(draw_views(seed=0, stream=2, step=0, batch=64), always, size=128)
    areas = boxes.float().mean((1, 2))
    assert areas.min() > 0.01
    assert areas.max() < 0.42
    for box in boxes:  # a box is a full rectangle
        rows, columns = box.any(1), box.any(0)
        assert box.sum() == rows.sum() * columns.sum()


def test_cutmix_happens_as_often_as_the_recipe_says(views: Views) -> None:
    never = views.model_copy(update={"cutmix": 0.0})
    draws = draw_views(seed=0, stream=2, step=0, batch=512)
    assert not cutmix_boxes(draws, never, size=32).any()
    share = cutmix_boxes(draws, views, size=32).any(2).any(1).float().mean()
    assert float(share) == pytest.approx(views.cutmix, abs=0.07)


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
