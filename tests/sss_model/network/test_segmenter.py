"""SSS as a whole: image to features, prompts, masks, and one map of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sss_model.config import Config
from sss_model.data.slice_position import volume_positions
from sss_model.network import build_network
from sss_model.network.base import ClipBatch, Prompting, PromptSource
from sss_model.network.prompts import PromptBatch, Prompter
from sss_model.network.segmenter import SssSegmenter

CLIP, SIDE = 4, 64
CLIP_SPACING = torch.tensor([[8.0, 1.5, 1.5]]).expand(CLIP, 3)


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
    prompts = prompter(**{"pcsw.margin_mm": 0.0})(logits_for(organ()), CLIP_SPACING, clip=CLIP)
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
    assert not prompter()(logits_for(classes), CLIP_SPACING, clip=CLIP).used[:, 1].any()
    assert prompter(**{"pcsw.enabled": False})(logits_for(classes), CLIP_SPACING, clip=CLIP).used[1, 1].any()
    assert not prompter().plausible(logits_for(classes), CLIP_SPACING, clip=CLIP)[1, 50:58, 4:12].any()
    assert prompter(**{"pcsw.enabled": False}).plausible(logits_for(classes), CLIP_SPACING, clip=CLIP).all()


def test_each_clip_is_judged_alone(prompter: Callable[..., Prompter]) -> None:
    both = torch.cat([organ(), organ().roll(9, -1)])
    whole = prompter()(logits_for(both), CLIP_SPACING.repeat(2, 1), clip=CLIP)
    alone = prompter()(logits_for(both[CLIP:]), CLIP_SPACING, clip=CLIP)
    assert torch.equal(whole.points[CLIP:], alone.points)
    assert torch.equal(whole.masks[CLIP:], alone.masks)


def from_labels(made: Prompter, draws: torch.Tensor) -> PromptBatch:
    prompting = Prompting(torch.full((CLIP,), int(PromptSource.LABEL)), organ(), draws)
    return made(logits_for(0 * organ()), CLIP_SPACING, clip=CLIP, prompting=prompting)


def test_prompts_from_labels_are_jittered(prompter: Callable[..., Prompter]) -> None:
    made = prompter(**{"sss.jitter": 0.2})
    still = from_labels(made, torch.full((CLIP, 2, 4), 0.5))
    torch.testing.assert_close(still.masks, made(logits_for(organ()), CLIP_SPACING, clip=CLIP).masks, atol=1e-5, rtol=0)
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
        prompts = prompter()(logits_for(organ()), CLIP_SPACING, clip=CLIP, prompting=prompting)
        assert bool(prompts.used.any()) == wanted


SPACING = (10.0, 2.5, 2.5)


@pytest.fixture
def make(recipe: Callable[..., Config]) -> Callable[..., SssSegmenter]:
    """Makes an SSS network that sees something: its heads and gates are not zero."""

    def network(overrides: dict[str, Any] | None = None) -> SssSegmenter:
        built = build_network(recipe({"train.method": "sss", **SSS, **(overrides or {})}), classes=4)
        assert isinstance(built, SssSegmenter)
        generator = torch.Generator().manual_seed(1)
        nn.init.normal_(built.decoder.head.weight, std=0.5, generator=generator)
        if built.memory is not None:
            nn.init.ones_(built.gate)
        return built.eval()

    return network


SSS = {"train.batch": CLIP, "train.unlabelled_batch": 2 * CLIP, "pcsw.enabled": False}


def images(count: int = CLIP, side: int = SIDE) -> torch.Tensor:
    """Neighbouring slices with a structure that all share."""
    generator = torch.Generator().manual_seed(0)
    blob = nn.functional.interpolate(torch.randn(1, 3, 4, 4, generator=generator), size=(side, side), mode="bicubic")
    return 2 * blob + 0.1 * torch.randn(count, 3, side, side, generator=generator)


def clips(count: int = CLIP, **further: Any) -> ClipBatch:
    return ClipBatch(images(count), spacing=torch.tensor([SPACING]).expand(count, 3), clip=CLIP, **further)


@torch.no_grad()
def test_outputs_have_the_size_of_the_slices(make: Callable[..., SssSegmenter]) -> None:
    outputs = make()(clips(keep_features=True))
    assert outputs.fused is not None
    assert outputs.coarse.shape == outputs.fused.shape == (CLIP, 4, SIDE, SIDE)
    assert outputs.masks.logits.shape == (CLIP, 3, SIDE // 4, SIDE // 4)
    assert [feature.shape[-1] for feature in outputs.features] == [16, 8, 4]


@torch.no_grad()
def test_without_a_prompt_the_fused_logits_are_the_feature_decoders(make: Callable[..., SssSegmenter]) -> None:
    outputs = make()(clips(prompting=Prompting(torch.full((CLIP,), int(PromptSource.NONE)))))
    assert torch.equal(outputs.fused, outputs.coarse)
    prompted = make()(clips(prompting=Prompting(torch.full((CLIP,), int(PromptSource.OWN)))))
    assert not torch.equal(prompted.fused, prompted.coarse)
    assert torch.equal(prompted.fused[:, 0], prompted.coarse[:, 0])  # nothing is added to background


@torch.no_grad()
def test_labels_prompt_only_where_they_may(make: Callable[..., SssSegmenter]) -> None:
    truth = torch.zeros(CLIP, SIDE, SIDE, dtype=torch.long)
    truth[:, 20:40, 20:40] = 1
    other = truth.roll(12, -1)
    network = make()

    def fused(labels: torch.Tensor, source: PromptSource) -> torch.Tensor:
        prompting = Prompting(torch.full((CLIP,), int(source)), labels, torch.full((CLIP, 3, 4), 0.5))
        return network(clips(prompting=prompting)).logits

    assert not torch.equal(fused(truth, PromptSource.LABEL), fused(other, PromptSource.LABEL))
    for source in (PromptSource.OWN, PromptSource.NONE):
        assert torch.equal(fused(truth, source), fused(other, source))


@torch.no_grad()
def test_inference_is_what_training_computes_without_a_partner(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    outputs = network(clips())
    volume = network.segment(images(), SPACING, batch=3)
    torch.testing.assert_close(volume, outputs.fused, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_slices_are_predicted_by_the_feature_decoder_alone(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    coarse = network(clips(use_memory=False)).coarse
    assert torch.equal(network.predict_slices(images(), volume_positions(len(images()))), coarse)


@torch.no_grad()
def test_a_volume_is_predicted_alike_each_time(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    assert torch.equal(network.segment(images(7), SPACING, batch=4), network.segment(images(7), SPACING, batch=4))


@torch.no_grad()
def test_each_slice_is_encoded_once(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    seen: list[int] = []
    network.encoder.register_forward_hook(lambda module, given, made: seen.append(len(given[0])))
    network.segment(images(7), SPACING, batch=4)
    assert seen == [4, 3]
    seen.clear()
    network(clips(8))
    assert seen == [8]


@torch.no_grad()
def test_weights_serve_any_image_size(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    for side in (32, 96, 128):
        assert network.segment(images(3, side), SPACING, batch=8).shape == (3, 4, side, side)


@torch.no_grad()
@pytest.mark.parametrize("switch", ["sss.enhancement", "sss.memory"])
def test_a_mechanism_that_is_off_has_no_weights(make: Callable[..., SssSegmenter], switch: str) -> None:
    on, off = (set(dict(make({switch: value}).named_parameters())) for value in (True, False))
    assert off < on


@torch.no_grad()
def test_a_partner_changes_only_the_slices_that_are_paired(make: Callable[..., SssSegmenter]) -> None:
    network = make()
    assert network.enhancement is not None
    for model in network.enhancement.models:
        nn.init.normal_(model.restore.weight, std=0.1)  # type: ignore[union-attr]
    partners = tuple(torch.randn(CLIP, 64, SIDE // stride, SIDE // stride) for stride in (4, 8, 16))
    paired = torch.tensor([True, False, True, False])
    alone = network(clips()).coarse
    met = network(clips(partners=partners, paired=paired)).coarse
    changed = [not torch.allclose(a, b, atol=1e-4) for a, b in zip(alone, met, strict=True)]
    assert changed == paired.tolist()
