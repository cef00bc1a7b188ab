"""Device, processes and precision of training, by Lightning Fabric."""

from __future__ import annotations

import os
from typing import Literal

import torch
from lightning_fabric import Fabric


def make_fabric(precision: Literal["auto", "32-true", "bf16-mixed"], *, unused_parameters: bool = False) -> Fabric:
    """A launched Fabric: one process, or the processes that ``torchrun`` started (gloo on CPUs, NCCL on GPUs).

    Args:
        unused_parameters: whether there are steps in which some parameters get no gradient.
    """
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=world // local,
        strategy=("ddp_find_unused_parameters_true" if unused_parameters else "ddp") if world > 1 else "auto",
        precision=resolve_precision(precision),
    )
    fabric.launch()
    return fabric


def resolve_precision(precision: Literal["auto", "32-true", "bf16-mixed"]) -> Literal["32-true", "bf16-mixed"]:
    """``auto`` becomes bf16-mixed where the hardware itself computes in bfloat16; elsewhere it would be slower."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities = torch.cpu.get_capabilities()
    native = capabilities.get("amx_bf16", False) or capabilities.get("avx512_bf16", False)
    return "bf16-mixed" if native else "32-true"


def device_name(device: torch.device) -> str:
    """A GPU's product name, such as ``NVIDIA L4``; ``cpu`` for any CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
