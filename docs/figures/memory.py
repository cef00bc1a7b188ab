"""The memory bank's walk through a volume."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from docs.figures.canvas import GREY, INK, ORANGE, PALE, PURPLE, canvas
from sss_model.network.memory_decoder import MemoryBank, visiting_order

CONFIDENCES = (0.58, 0.7, 0.81, 0.9, 0.97, 0.93, 0.87, 0.76, 0.64)
CAPACITY, READS = 4, 2


def walk() -> list[tuple[int, list[int], list[int]]]:
    """Per visit, in order: the slice, the slices that the bank then holds, and those of them that it reads."""
    count = len(CONFIDENCES)
    probability = torch.tensor(CONFIDENCES)
    coarse = torch.stack([1 - probability, probability], 1).log()[:, :, None, None]
    order = visiting_order(coarse, clip=count)[:, 0].tolist()
    angles = torch.linspace(0, 1.4, count)
    keys = torch.stack([angles.cos(), angles.sin()], 1)  # neighbours look alike

    def name(memories: torch.Tensor) -> list[int]:
        return [int((keys @ memory.flatten()).argmax()) for memory in memories]

    bank, visits = MemoryBank(CAPACITY), []
    for index in order:
        mine = keys[index][None]
        held = name(bank.read(mine, len(bank))[0]) if len(bank) else []
        read = name(bank.read(mine, READS)[0]) if len(bank) else []
        visits.append((index, held, read))
        bank.write(mine[:, :, None, None], mine, probability[index : index + 1])
    return visits


def draw_memory() -> Figure:
    visits, count = walk(), len(CONFIDENCES)
    figure, axes = canvas(width=9.2, height=6.0, units=(100, 65.2))
    xs = [24.0 + 8.7 * index for index in range(count)]
    axes.text(0.6, 58.5, "confidence of\neach slice", va="center")
    for index, (x, share) in enumerate(zip(xs, CONFIDENCES, strict=True)):
        colour = PURPLE if index == visits[0][0] else "#c9b8dc"
        axes.add_patch(Rectangle((x - 2.4, 53.5), 4.8, 8.5 * share, facecolor=colour, edgecolor="none"))
        axes.text(x, 51.6, f"slice {index + 1}", ha="center", va="center", color=GREY)
        axes.text(x, 54.1 + 8.5 * share, f"{share:.2f}", ha="center", va="bottom", color=INK)
    for number, (index, held, read) in enumerate(visits):
        y = 47.2 - 4.7 * number
        axes.plot((xs[0] - 4, xs[-1] + 4), (y, y), color=PALE, linewidth=1, zorder=0)
        axes.text(0.6, y, f"visit {number + 1}" + (": starts here" if not number else ""), va="center")
        for other in held:
            face = "#c9b8dc" if other in read else "white"
            square = Rectangle((xs[other] - 1.3, y - 1.3), 2.6, 2.6, facecolor=face, edgecolor=PURPLE, linewidth=1.1)
            axes.add_patch(square)
        axes.add_patch(Circle((xs[index], y), 1.5, facecolor=ORANGE, edgecolor="none", zorder=3))
    _memory_legend(axes)
    return figure


def _memory_legend(axes: Axes) -> None:
    axes.add_patch(Circle((8.0, 2.6), 1.3, facecolor=ORANGE, edgecolor="none"))
    axes.text(10.2, 2.6, "slice that is decoded", va="center")
    axes.add_patch(Rectangle((32.7, 1.3), 2.6, 2.6, facecolor="#c9b8dc", edgecolor=PURPLE, linewidth=1.1))
    axes.text(36.6, 2.6, f"in the bank and read ({READS} most similar)", va="center")
    axes.add_patch(Rectangle((64.7, 1.3), 2.6, 2.6, facecolor="white", edgecolor=PURPLE, linewidth=1.1))
    axes.text(68.6, 2.6, f"in the bank, not read (room for {CAPACITY})", va="center")
