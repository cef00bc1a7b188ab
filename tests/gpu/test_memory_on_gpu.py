from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

WHOLE = {
    "train.steps": 2,
    "train.precision": "bf16-mixed",
    "train.batch": 8,
    "train.unlabelled_batch": 8,
    "train.unlabelled_from": 0,
    "train.ramp": 0,
    "data.size": 128,
    "data.spacing_mm": 1.25,
}


def peak(fit: Callable[..., Path], device: torch.device, **memory: Any) -> int:
    """The most bytes that tensors took on the GPU while it trained; 0 on a CPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    fit({**WHOLE, **{f"train.{key}": value for key, value in memory.items()}})
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def test_micro_batches_and_gradient_checkpointing_lower_the_peak(
    fit: Callable[..., Path], device: torch.device
) -> None:
    whole = peak(fit, device)
    pieces = peak(fit, device, micro_batch=2)
    least = peak(fit, device, micro_batch=2, gradient_checkpointing=True)
    print(f"peak memory: whole batch {whole:,}, micro-batches {pieces:,}, and gradient checkpointing {least:,} bytes")
    if device.type == "cuda":
        assert least < pieces < whole
