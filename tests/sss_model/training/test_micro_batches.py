"""A step in pieces learns what the whole step learns, and holds less at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from support.every_method import EVERY_METHOD, confident_from

from sss_model.config import Config
from sss_model.data.manifest import Manifest, cohort
from sss_model.data.slices import SliceCache, SliceSet
from sss_model.network import build_network
from sss_model.network.base import ClipBatch, SegmenterOutput
from sss_model.training.batches import Batches
from sss_model.training.learner import Learner
from sss_model.training.losses import segmentation_loss
from sss_model.training.micro_batches import backward_in_pieces

# So that some pseudo-labels count, and others don't.
BATCH = {"train.batch": 4, "train.unlabelled_batch": 4, **confident_from(0.5)}


# One in which method sss remembers, and prompts a clip by its labels.
STEP = 4
# What only a slice reads that lacks a class which its clip has.
SELDOM_READ = {"memory.sam_prompt_encoder.no_mask_embed.weight", "memory.sam_prompt_encoder.not_a_point_embed.weight"}


@pytest.fixture(scope="module")
def one_step(
    recipe: Callable[..., Config], phantom: Path, manifest: Manifest, cache_dir: Path
) -> Callable[..., tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
    """Scalars and gradients of one step, from a network in which nothing is zero."""

    def step(method: str, micro_batch: int | None) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        config = recipe({**BATCH, **EVERY_METHOD[method], "train.micro_batch": micro_batch})
        fabric = Fabric(accelerator="cpu", devices=1)
        cache = SliceCache(cache_dir, data_dir=phantom, config=config.data, classes=4)
        patients = cohort(manifest, 1)
        labelled = SliceSet(cache.images(patients.labelled), cache.labels(patients.labelled), True, [8.0, 8.0])
        unlabelled = SliceSet(cache.images(patients.unlabelled), None, True, [8.0] * len(patients.unlabelled))
        network = build_network(config, classes=4)
        _fill_zeros(network)
        learner = Learner(network, config, ["cavity", "wall", "crescent"], fabric)
        batches = Batches(config, labelled=labelled, unlabelled=unlabelled, fabric=fabric)
        scalars = learner.step(batches, step=STEP, progress=0.5)
        return scalars, {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    return step


def _fill_zeros(network: torch.nn.Module) -> None:
    """Give every tensor a say, also those that start at zero so that a mechanism starts as nothing."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if name.endswith("head.bias"):
            torch.nn.init.zeros_(parameter)  # no class is likelier than another
        elif not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2, generator=generator)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_step_in_pieces_has_the_gradient_of_the_whole_step(one_step: Callable[..., Any], method: str) -> None:
    scalars, gradients = one_step(method, None)
    in_pieces, of_pieces = one_step(method, 3)  # the last piece is smaller
    if method != "supervised":
        assert 0.005 < float(scalars["accepted"]) < 0.98
    assert scalars.keys() == in_pieces.keys()
    for name, value in scalars.items():
        assert float(in_pieces[name]) == pytest.approx(float(value), rel=1e-5)
    assert gradients.keys() == of_pieces.keys()
    # Where two values round alike, pooling may take the other one, which even backgrounds without noise invite; in
    # double precision UniMatch's gradients agree to fourteen digits.
    tolerance = 5e-2 if method == "unimatch on sam2" else 2e-3
    largest = max(float(gradient.norm()) for gradient in gradients.values())
    for name, gradient in gradients.items():
        if name not in SELDOM_READ:
            assert gradient.any(), name
        assert float((of_pieces[name] - gradient).norm()) <= tolerance * float(gradient.norm()) + 1e-5 * largest, name


class _OneLayer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 1), torch.nn.Softplus(), torch.nn.Conv2d(32, 2, 1))

    def forward(self, batch: ClipBatch) -> SegmenterOutput:
        return SegmenterOutput(self.layers(batch.images))


def held_at_most(images: torch.Tensor, micro_batch: int | None) -> int:
    """The most values that a network of one layer keeps for its backward pass at any time."""
    held, most = 0, 0

    def pack(tensor: torch.Tensor) -> tuple[torch.Tensor]:
        nonlocal held, most
        held += tensor.numel()
        most = max(most, held)
        return (tensor,)

    def unpack(packed: tuple[torch.Tensor]) -> torch.Tensor:
        nonlocal held
        held -= packed[0].numel()
        return packed[0]

    fabric = Fabric(accelerator="cpu", devices=1)
    network = fabric.setup(_OneLayer())
    target = torch.zeros(len(images), *images.shape[2:], dtype=torch.long)

    def objective(output: SegmenterOutput) -> dict[str, torch.Tensor]:
        return {"loss": segmentation_loss(output.logits, target)}

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        backward_in_pieces(network, ClipBatch(images), objective, fabric=fabric, micro_batch=micro_batch)
    return most


def test_pieces_hold_less_at_a_time() -> None:
    images = torch.randn(8, 3, 32, 32)
    assert held_at_most(images, 1) < held_at_most(images, None) / 3
