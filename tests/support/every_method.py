"""Every method on the network that it is meant for, ready to learn from pseudo-labels in its first step."""

from __future__ import annotations

from typing import Any

import pytest

AT_ONCE: dict[str, Any] = {"train.unlabelled_from": 0, "train.ramp": 0, "pcsw.warmup": 0}
UNET: dict[str, Any] = {"model.network": "unet"}
TOLD: dict[str, Any] = {"model.context": True, "model.proportions": True, "train.proportions_at": [0.2, 0.6]}

# What a network says that has learnt nothing is hardly an organ; nor is it sure.
LENIENT = dict.fromkeys(["min_area_mm2", "min_confidence", "thin_area_mm2", "thin_confidence"], 0)
SSS: dict[str, Any] = {
    "sss.clip": 2,
    "sss.clip_every": 2,
    "sss.memory_shapes_features": True,
    **{f"pcsw.{name}": value for name, value in LENIENT.items()},
}

EVERY_METHOD: dict[str, dict[str, Any]] = {
    "supervised": {"train.method": "supervised"},
    "weak_to_strong": {"train.method": "weak_to_strong", **AT_ONCE, **TOLD},
    "weak_to_strong on the unet": {"train.method": "weak_to_strong", **AT_ONCE, **UNET},
    "unimatch": {"train.method": "unimatch", **AT_ONCE, **UNET},
    "unimatch on sam2": {"train.method": "unimatch", **AT_ONCE, **TOLD},
    "sss": {"train.method": "sss", **AT_ONCE, **TOLD, **SSS},
}

# What no recipe trains by default takes its minutes in `make acceptance`.
_RARE = ("supervised", "weak_to_strong on the unet", "unimatch", "unimatch on sam2")
METHODS_OF_MINUTES = [
    pytest.param(name, marks=pytest.mark.acceptance) if name in _RARE else name for name in EVERY_METHOD
]


def confident_from(share: float) -> dict[str, Any]:
    """From which probability on pseudo-labels count, whatever the method."""
    return {"train.confidence": share, "unimatch.confidence": share}
