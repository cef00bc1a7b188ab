"""Draws the figures of docs/explanation/method.md: `python -m docs.figures` writes docs/figures/*.svg.

The figures are computed by the code that they explain: PCSW is applied to the drawn stack, and a memory bank to the
drawn volume. The same code gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from docs.figures.canvas import INK
from docs.figures.memory import draw_memory
from docs.figures.pcsw import draw_pcsw
from docs.figures.step import draw_step

HERE = Path(__file__).resolve().parent
STYLE: dict[str, Any] = {
    "svg.hashsalt": "sss",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def main(endings: list[str]) -> None:
    """Write each figure with every file ending; those in git are .svg."""
    plt.switch_backend("agg")
    plt.rcParams.update(STYLE)
    for name, draw in {"step": draw_step, "pcsw": draw_pcsw, "memory": draw_memory}.items():
        figure = draw()
        for ending in endings:
            undated = {"Date": None, "Creator": None} if ending == "svg" else None
            figure.savefig(HERE / f"{name}.{ending}", metadata=undated, dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:] or ["svg"])
