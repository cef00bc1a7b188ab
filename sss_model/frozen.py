"""Which parts of a network may be kept as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sss_model.config import Config


def refuse_frozen(config: Config) -> None:
    """Raise a `ValueError` where a recipe keeps random weights, or leaves nothing to learn in some step."""
    model = config.model
    if not model.freeze_decoder:
        return
    if model.network == "unet":
        raise ValueError("model.freeze_decoder means the feature decoder and needs model.network sam2")
    if config.train.init_from is None:
        raise ValueError(
            "model.freeze_decoder has no weights to keep, SAM-2's checkpoints hold none of this decoder; expected "
            "train.init_from to name a trained model"
        )
    # Only feature enhancement takes part in every step beside them.
    if model.freeze_encoder and not (config.train.method == "sss" and config.sss.enhancement):
        raise ValueError(
            "model.freeze_encoder and model.freeze_decoder leave nothing to learn; expected one of them, or method sss "
            "with sss.enhancement"
        )
