"""The whole of SSS: image to features, prompts, masks, and one map of classes."""

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
from sss_model.network.segmenter import SssSegmenter

CLIP, SIDE = 4, 64
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
