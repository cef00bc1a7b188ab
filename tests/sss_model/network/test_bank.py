"""Medical-SAM2's memory bank, against its rules written out entry by entry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from sss_model.network.memory_bank import MemoryBank

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
        like_new = [float(F.cosine_similarity(new, old, dim=0)) for old, _ in kept]
        least = like_new.index(min(like_new))
        others = [n for n in range(CAPACITY) if n != least]
        rival = max(others, key=lambda n: float(F.cosine_similarity(kept[n][0], kept[least][0], dim=0)))
        likeness = float(F.cosine_similarity(kept[rival][0], kept[least][0], dim=0))
        if like_new[least] < likeness and quality > kept[rival][1] - 0.1:
            kept[rival] = (new, quality)
    return [memory.view(4, 2, 2) for memory, _ in kept]


@pytest.mark.parametrize("entries", [2, 3, 4, 8, 20])
def test_a_full_bank_sorts_itself_row_by_row(entries: int) -> None:
    bank = filled(entries)
    for row in (0, 1):
        expected = by_the_rules(entries, row)
        assert len(held(bank, row)) == len(expected)
        assert all(any(torch.equal(memory, wanted) for memory in held(bank, row)) for wanted in expected)


def test_rows_do_decide_apart() -> None:
    replaced = [torch.equal(held(filled(8), row)[0], held(filled(3), row)[0]) for row in (0, 1)]
    assert any(
        not all(any(torch.equal(a, b) for a in held(filled(8), row)) for b in held(filled(3), row)) for row in (0, 1)
    ), replaced


def test_reading_takes_the_likest_first() -> None:
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
