"""The memory decoder: SAM-2's parts around Medical-SAM2's bank."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from sss_model.network.memory_decoder import MemoryBank, MemoryDecoder, visiting_order
from sss_model.network.prompts import BOX_CORNER, BOX_OPPOSITE, NOTHING, POINT_INSIDE, PromptBatch
from sss_model.network.sam2 import build_memory_parts

CLIP, CLIPS, CLASSES, SIDE = 3, 2, 2, 64


@pytest.fixture(scope="module")
def decoder() -> MemoryDecoder:
    torch.manual_seed(0)
    return MemoryDecoder(build_memory_parts("micro", "2.1"), capacity=4, reads=2).eval()


def slices(seed: int = 0, side: int = SIDE) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Features and class logits of two clips."""
    generator = torch.Generator().manual_seed(seed)
    count = CLIP * CLIPS
    features = [torch.randn(count, 64, side // stride, side // stride, generator=generator) for stride in (4, 8, 16)]
    return features, 3 * torch.randn(count, CLASSES + 1, side, side, generator=generator)


def prompts(where: list[tuple[int, int]], side: int = SIDE, most: int = 1) -> PromptBatch:
    """A box in the middle for some (slice, class)."""
    shape = (CLIP * CLIPS, CLASSES, most)
    batch = PromptBatch(
        torch.zeros(*shape, 3, 2), torch.full((*shape, 3), NOTHING), torch.zeros(*shape, side // 4, side // 4)
    )
    for at in where:
        batch.points[at[0], at[1], 0] = side * torch.tensor([[0.5, 0.5], [0.25, 0.25], [0.75, 0.75]])
        batch.labels[at[0], at[1], 0] = torch.tensor([POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE])
        batch.masks[at[0], at[1], 0, side // 16 : -side // 16, side // 16 : -side // 16] = 1
    return batch


EVERYWHERE = [(number, index) for number in range(CLIP * CLIPS) for index in range(CLASSES)]
GATE = torch.ones(CLASSES)


@torch.no_grad()
def test_the_same_volume_gives_the_same_masks(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    first, again = (decoder(features, coarse, prompts(EVERYWHERE), GATE, clip=CLIP) for _ in range(2))
    assert torch.equal(first.logits, again.logits)
    assert first.logits.shape == (CLIP * CLIPS, CLASSES, SIDE // 4, SIDE // 4)
    assert first.iou.shape == (CLIP * CLIPS, CLASSES)


@torch.no_grad()
def test_clips_are_independent(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    both = decoder(features, coarse, prompts(EVERYWHERE), GATE, clip=CLIP)
    alone = decoder(
        [scale[CLIP:] for scale in features],
        coarse[CLIP:],
        PromptBatch(*(field[CLIP:] for field in prompts(EVERYWHERE))),
        GATE,
        clip=CLIP,
    )
    torch.testing.assert_close(both.logits[CLIP:], alone.logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_classes_have_a_memory_each(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    with_both = decoder(features, coarse, prompts(EVERYWHERE), 0 * GATE, clip=CLIP)
    with_one = decoder(features, coarse, prompts([at for at in EVERYWHERE if at[1] == 0]), 0 * GATE, clip=CLIP)
    torch.testing.assert_close(with_both.logits[:, 0], with_one.logits[:, 0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(with_both.logits[:, 1], with_one.logits[:, 1])
    assert with_both.prompted.all()
    assert not with_one.prompted[:, 1].any()


@torch.no_grad()
def test_a_slice_remembers_what_was_seen_before(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    order = visiting_order(coarse, clip=CLIP)
    first, last = int(order[0, 0]), int(order[-1, 0])
    seen = decoder(features, coarse, prompts([(first, 0)]), GATE, clip=CLIP)
    other = coarse.clone()
    other[first] = other[first].roll(9, -1)
    changed = decoder(features, other, prompts([(first, 0)]), GATE, clip=CLIP)
    assert seen.prompted[:CLIP, 0].all()
    assert not torch.allclose(seen.logits[last, 0], changed.logits[last, 0])


def test_it_starts_at_the_most_confident_slice_and_goes_both_ways() -> None:
    coarse = torch.zeros(5, 2, 4, 4)
    coarse[:, 1] = torch.tensor([1.0, 2.0, 1.5, 9.0, 1.0])[:, None, None]
    assert visiting_order(coarse, clip=5)[:, 0].tolist() == [3, 2, 4, 1, 0]


def test_a_slice_without_foreground_is_no_start() -> None:
    coarse = torch.zeros(3, 2, 4, 4)
    coarse[:, 0] = torch.tensor([9.0, -1.0, 9.0])[:, None, None]
    assert int(visiting_order(coarse, clip=3)[0, 0]) == 1


def test_a_confident_speck_is_no_start() -> None:
    coarse = torch.zeros(3, 2, 8, 8)
    coarse[:, 1] = -1.0
    coarse[0, 1, 0, 0] = 30.0
    coarse[1:, 1, 2:6, 2:6] = torch.tensor([2.0, 3.0])[:, None, None]
    assert visiting_order(coarse, clip=3)[:, 0].tolist() == [2, 1, 0]


@torch.no_grad()
def test_of_several_components_the_maximum_counts(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    one = prompts(EVERYWHERE, most=2)
    two = prompts(EVERYWHERE, most=2)
    two.points[:, :, 1] = torch.tensor([[8.0, 8.0], [4.0, 4.0], [12.0, 12.0]])
    two.labels[:, :, 1] = torch.tensor([POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE])
    two.masks[:, :, 1, 1:3, 1:3] = 1
    first = visiting_order(coarse, clip=CLIP)[0]  # where no memory differs yet
    single = decoder(features, coarse, one, GATE, clip=CLIP).logits[first]
    double = decoder(features, coarse, two, GATE, clip=CLIP).logits[first]
    assert torch.all(double >= single - 1e-4)
    assert torch.any(double > single + 1e-4)


@torch.no_grad()
def test_training_draws_its_memories(decoder: MemoryDecoder) -> None:
    features, coarse = slices()
    low, high = (
        decoder(features, coarse, prompts(EVERYWHERE), GATE, clip=CLIP, draws=torch.full((6, CLASSES, 2), value))
        for value in (0.01, 0.99)
    )
    last = visiting_order(coarse, clip=CLIP)[-1]
    assert not torch.allclose(low.logits[last], high.logits[last])


@torch.no_grad()
@pytest.mark.parametrize("side", [32, 96])
def test_it_decodes_slices_of_any_size(decoder: MemoryDecoder, side: int) -> None:
    features, coarse = slices(side=side)
    masks = decoder(features, coarse, prompts(EVERYWHERE, side), GATE, clip=CLIP)
    assert masks.logits.shape[-1] == side // 4
    assert torch.isfinite(masks.logits).all()


def test_metas_sizes_have_the_shapes_of_their_checkpoints() -> None:
    parts = build_memory_parts("tiny", "2.1")
    assert parts.mask_stride == 16
    assert parts.sam_mask_decoder.mask_tokens.weight.shape == (4, 256)  # type: ignore[union-attr]
    decoder = MemoryDecoder(parts, capacity=4, reads=2).eval()
    features, coarse = slices()
    wide = [scale.repeat(1, 4, 1, 1) for scale in features]
    with torch.no_grad():
        assert decoder(wide, coarse, prompts(EVERYWHERE), GATE, clip=CLIP).logits.shape[1] == CLASSES


CAPACITY = 3


def entry(seed: int, rows: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, 4, 2, 2, generator=generator),
        torch.randn(rows, 6, generator=generator),
        torch.rand(rows, generator=generator),
    )


def filled(entries: int, capacity: int = CAPACITY) -> MemoryBank:
    bank = MemoryBank(capacity)
    for seed in range(entries):
        bank.write(*entry(seed))
    return bank


def held(bank: MemoryBank, row: int, reads: int = CAPACITY) -> list[torch.Tensor]:
    return list(bank.read(torch.ones(2, 6), reads)[row])


def by_the_rules(entries: int, row: int) -> list[torch.Tensor]:
    """The memories that one row must hold, one entry at a time."""
    kept: list[tuple[torch.Tensor, float]] = []
    for seed in range(entries):
        memory, _, iou = entry(seed)
        new, quality = memory[row].flatten(), float(iou[row])
        if len(kept) < CAPACITY:
            kept.append((new, quality))
            continue
        similar_to_new = [float(F.cosine_similarity(new, old, dim=0)) for old, _ in kept]
        least = similar_to_new.index(min(similar_to_new))
        others = [n for n in range(CAPACITY) if n != least]
        rival = max(others, key=lambda n: float(F.cosine_similarity(kept[n][0], kept[least][0], dim=0)))
        similarity = float(F.cosine_similarity(kept[rival][0], kept[least][0], dim=0))
        if similar_to_new[least] < similarity and quality > kept[rival][1] - 0.1:
            kept[rival] = (new, quality)
    return [memory.view(4, 2, 2) for memory, _ in kept]


@pytest.mark.parametrize("entries", [2, 3, 4, 8, 20])
def test_a_full_bank_sorts_itself_row_by_row(entries: int) -> None:
    bank = filled(entries)
    for row in (0, 1):
        expected = by_the_rules(entries, row)
        assert len(held(bank, row)) == len(expected)
        assert all(any(torch.equal(memory, wanted) for memory in held(bank, row)) for wanted in expected)


def test_rows_are_replaced_independently() -> None:
    replaced = [torch.equal(held(filled(8), row)[0], held(filled(3), row)[0]) for row in (0, 1)]
    assert any(
        not all(any(torch.equal(a, b) for a in held(filled(8), row)) for b in held(filled(3), row)) for row in (0, 1)
    ), replaced


def test_reading_takes_the_most_similar_first() -> None:
    bank = MemoryBank(4)
    wanted = torch.tensor([[1.0, 0.0]])
    for number, embedding in enumerate([[0.0, 1.0], [1.0, 0.1], [-1.0, 0.0], [1.0, 1.0]]):
        bank.write(torch.full((1, 1, 1, 1), float(number)), torch.tensor([embedding]), torch.ones(1))
    assert bank.read(wanted, 3).flatten().tolist() == [1.0, 3.0, 0.0]
    assert bank.read(wanted, 9).flatten().tolist() == [1.0, 3.0, 0.0, 2.0]


def test_drawing_follows_the_weights() -> None:
    bank = MemoryBank(2)
    bank.write(torch.zeros(1, 1, 1, 1), torch.tensor([[1.0, 0.0]]), torch.ones(1))
    bank.write(torch.ones(1, 1, 1, 1), torch.tensor([[-1.0, 0.0]]), torch.ones(1))
    draws = torch.arange(0.0, 1.0, 0.001)[None]
    drawn = bank.read(torch.tensor([[1.0, 0.0]]), draws.shape[1], draws).flatten()
    likely = torch.tensor([1.0, -1.0]).softmax(0)[0]
    assert float((drawn == 0).float().mean()) == pytest.approx(float(likely), abs=0.002)


def test_memories_keep_their_gradients_inside_a_volume() -> None:
    bank = MemoryBank(2)
    memories = [torch.randn(1, 1, 1, 1, requires_grad=True) for _ in range(2)]
    for memory in memories:
        bank.write(memory, torch.ones(1, 2), torch.ones(1))
    bank.read(torch.ones(1, 2), 2).sum().backward()
    assert all(memory.grad is not None for memory in memories)
