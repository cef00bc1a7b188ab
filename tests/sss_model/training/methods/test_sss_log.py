"""What only some steps know reaches the training's log, with the recipe's own rhythm of clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.training.train import train


def test_a_training_log_tells_of_the_memory_decoder(
    tmp_path: Path, phantom: Path, manifest: Manifest, recipe: Callable[..., Config], cache_dir: Path
) -> None:
    config = recipe({"train.method": "sss", "train.batch": 4, "train.unlabelled_batch": 8, "train.steps": 2})
    assert config.sss.clip_every > 1
    train(
        config,
        data_dir=phantom,
        manifest=manifest,
        output=tmp_path / "checkpoint",
        work_dir=tmp_path / "work",
        cache_dir=cache_dir,
        data_version="0" * 32,
        manifest_sha256="1" * 64,
    )
    assert {"loss_masks", "loss_iou"} <= set(load_checkpoint(tmp_path / "checkpoint").history.columns)
