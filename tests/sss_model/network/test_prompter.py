"""From class logits to prompts: from whose map, how they are laid out, and how labels are blurred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sss_model.config import Config
from sss_model.network.base import Prompting, PromptSource
from sss_model.network.prompts import PromptBatch, Prompter

CLIP, SIDE = 4, 64
SPACING = torch.tensor([[8.0, 1.5, 1.5]]).expand(CLIP, 3)


@pytest.fixture
def prompter(recipe: Callable[..., Config]) -> Callable[..., Prompter]:
    def make(**overrides: Any) -> Prompter:
        sizes = {"train.method": "sss", "train.batch": CLIP, "train.unlabelled_batch": 2 * CLIP}
        return Prompter(recipe({**sizes, **overrides}), foreground=2)

    return make


def organ() -> torch.Tensor:
    """A square of class 1 in every slice."""
    classes = torch.zeros(CLIP, SIDE, SIDE, dtype=torch.long)
    classes[:, 16:40, 20:44] = 1
    return classes


def logits_for(classes: torch.Tensor) -> torch.Tensor:
    return 12 * torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()


def test_a_component_gives_a_point_a_box_and_a_mask(prompter: Callable[..., Prompter]) -> None:
    prompts = prompter(**{"pcsw.margin_mm": 0.0})(logits_for(organ()), SPACING, clip=CLIP)
    assert prompts.used[:, 0, 0].all()
    assert not prompts.used[:, 1].any()
    inside, corner, opposite = prompts.points[0, 0, 0]
    # SAM counts from the middle of a pixel.
    assert corner.tolist() == [19.5, 15.5]
    assert opposite.tolist() == [43.5, 39.5]
    assert 20 <= inside[0] < 44
    assert 16 <= inside[1] < 40
    expected = torch.zeros(SIDE // 4, SIDE // 4)
    expected[4:10, 5:11] = 1
    assert torch.equal(prompts.masks[0, 0, 0], expected)


def test_pcsw_keeps_specks_from_prompting_and_without_it_they_do(prompter: Callable[..., Prompter]) -> None:
    classes = organ()
    classes[1, 50:58, 4:12] = 2
    assert not prompter()(logits_for(classes), SPACING, clip=CLIP).used[:, 1].any()
    assert prompter(**{"pcsw.enabled": False})(logits_for(classes), SPACING, clip=CLIP).used[1, 1].any()
    assert not prompter().plausible(logits_for(classes), SPACING, clip=CLIP)[1, 50:58, 4:12].any()
    assert prompter(**{"pcsw.enabled": False}).plausible(logits_for(classes), SPACING, clip=CLIP).all()


def test_each_clip_is_judged_alone(prompter: Callable[..., Prompter]) -> None:
    both = torch.cat([organ(), organ().roll(9, -1)])
    whole = prompter()(logits_for(both), SPACING.repeat(2, 1), clip=CLIP)
    alone = prompter()(logits_for(both[CLIP:]), SPACING, clip=CLIP)
    assert torch.equal(whole.points[CLIP:], alone.points)
    assert torch.equal(whole.masks[CLIP:], alone.masks)


def from_labels(made: Prompter, draws: torch.Tensor) -> PromptBatch:
    prompting = Prompting(torch.full((CLIP,), int(PromptSource.LABEL)), organ(), draws)
    return made(logits_for(0 * organ()), SPACING, clip=CLIP, prompting=prompting)


def test_prompts_from_labels_are_jittered(prompter: Callable[..., Prompter]) -> None:
    made = prompter(**{"sss.jitter": 0.2})
    still = from_labels(made, torch.full((CLIP, 2, 4), 0.5))
    torch.testing.assert_close(still.masks, made(logits_for(organ()), SPACING, clip=CLIP).masks, atol=1e-5, rtol=0)
    wider = from_labels(made, torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(CLIP, 2, 4))
    extent = (still.points[..., 2, :] - still.points[..., 1, :])[:, 0, 0]
    grown = (wider.points[..., 2, :] - wider.points[..., 1, :])[:, 0, 0]
    torch.testing.assert_close(grown, 1.4 * extent)
    # The mask goes with its box, and the point stays inside both.
    assert float(wider.masks[0, 0, 0].sum()) == pytest.approx(1.4**2 * float(still.masks[0, 0, 0].sum()), rel=0.1)
    x, y = ((wider.points[0, 0, 0, 0] + 0.5) / 4).long().tolist()
    assert wider.masks[0, 0, 0, y, x] == 1


def test_classes_are_jittered_independently(prompter: Callable[..., Prompter]) -> None:
    draws = torch.full((CLIP, 2, 4), 0.5)
    draws[:, 1] = 0.9
    still = from_labels(prompter(), torch.full((CLIP, 2, 4), 0.5))
    assert torch.equal(from_labels(prompter(), draws).points[:, 0], still.points[:, 0])


def test_no_prompts_where_none_are_wanted(prompter: Callable[..., Prompter]) -> None:
    for source, wanted in ((PromptSource.NONE, False), (PromptSource.OWN, True)):
        prompting = Prompting(torch.full((CLIP,), int(source)))
        prompts = prompter()(logits_for(organ()), SPACING, clip=CLIP, prompting=prompting)
        assert bool(prompts.used.any()) == wanted
