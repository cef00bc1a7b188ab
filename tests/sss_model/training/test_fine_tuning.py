"""A training that goes on from a trained model: its weights, whom it saw, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.every_method import EVERY_METHOD

from sss_model.checkpoint import Checkpoint, Images, load_checkpoint, save_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.evaluation.leaks import check_evaluable, leak_check
from sss_model.network import build_network
from sss_model.training.fine_tuning import Parent, inherit_weights
from sss_model.training.identity import training_identity
from sss_model.training.train import train

Trained = Callable[..., Checkpoint]
SSS = EVERY_METHOD["sss"]


@pytest.fixture
def tune(
    phantom: Path, manifest: Manifest, recipe: Callable[..., Config], cache_dir: Path, checkpoint: Path, tmp_path: Path
) -> Trained:
    """Trains one step from the session's checkpoint, or another one."""

    def run(
        settings: dict[str, Any] | None = None, *, data: Manifest = manifest, parent: Path = checkpoint
    ) -> Checkpoint:
        train(
            recipe({"train.init_from": str(parent), "train.steps": 1, **(settings or {})}),
            data_dir=phantom,
            manifest=data,
            output=tmp_path / "tuned",
            work_dir=tmp_path / "work",
            cache_dir=cache_dir,
            data_version="2" * 32,
            manifest_sha256="3" * 64,
        )
        return load_checkpoint(tmp_path / "tuned")

    return run


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> bool:
    names = [name for name in after if name.startswith(part)]
    assert names
    return any(not torch.equal(before[name], after[name]) for name in names)


def test_a_training_starts_from_the_weights_of_another(tune: Trained, checkpoint: Path) -> None:
    parent, kept = load_checkpoint(checkpoint), {"train.lr": 1e-12, "train.encoder_lr": 1e-12}
    tuned = tune(kept)
    assert all(torch.allclose(tuned.weights[name], value, atol=1e-6) for name, value in parent.weights.items())
    assert tuned.meta.origin is not None
    assert (tuned.meta.origin.model, tuned.meta.origin.data_version) == (str(checkpoint), parent.meta.data_version)


def test_a_frozen_decoder_stays_and_the_rest_learns(tune: Trained, checkpoint: Path) -> None:
    before = load_checkpoint(checkpoint).weights
    after = tune({"model.freeze_decoder": True}).weights
    assert not changed(before, after, "decoder.")
    assert changed(before, after, "encoder.")
    free = tune().weights
    assert changed(before, free, "decoder.")


def test_with_encoder_and_decoder_frozen_feature_enhancement_learns(
    tune: Trained, checkpoint: Path, recipe: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        **SSS,
        "train.method": "sss",
        "model.context": False,
        "model.proportions": False,
        "model.freeze_decoder": True,
        "model.freeze_encoder": True,
        "train.steps": 2,
    }
    before, after = load_checkpoint(checkpoint).weights, tune(settings).weights
    assert not changed(before, after, "encoder.")
    assert not changed(before, after, "decoder.")
    fresh = build_network(recipe(settings | {"train.init_from": "any"}), classes=4).state_dict()
    assert changed(fresh, after, "enhancement.")
    assert f"{checkpoint} has no enhancement, gate, memory; what it lacks starts anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"train.init_from": None}, "no weights to keep, SAM-2's checkpoints hold none of this decoder"),
        ({"train.init_from": None, "model.checkpoint": "small"}, "no weights to keep"),
        ({"model.freeze_encoder": True}, "leave nothing to learn"),
        ({"model.network": "unet"}, r"freeze_decoder means the feature decoder and needs model\.network sam2"),
    ],
)
def test_freezing_what_is_not_there_is_refused(
    recipe: Callable[..., Config], settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        recipe({"train.init_from": "checkpoint", "model.freeze_decoder": True, **settings})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model.decoder_channels": 16}, r"model\.decoder_channels 8, the recipe 16; expected both alike"),
        ({"model.encoder": "tiny"}, r"model\.encoder micro, the recipe tiny; expected both alike"),
        ({"model.network": "unet"}, r"model\.network sam2, the recipe unet; expected both alike"),
    ],
)
def test_another_network_is_refused_before_anything_is_read(
    tune: Trained, tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=rf"train\.init_from: .*checkpoint has {sentence}"):
        tune(settings)
    assert not (tmp_path / "tuned").exists()


def test_other_shapes_and_broken_weights_are_named(checkpoint: Path, recipe: Callable[..., Config]) -> None:
    config, parent = recipe(), Parent.read(checkpoint, "models:/heart/1")
    network, labels = build_network(config, classes=4), parent.checkpoint.meta.labels
    name = "decoder.stem.0.0.0.weight"
    for value, sentence in (
        (torch.zeros(2, 3), "has the shape 2×3 where"),
        (torch.full((8, 3, 3, 3), torch.nan), "NaN"),
    ):
        broken = replace(parent.checkpoint, weights=parent.checkpoint.weights | {name: value})
        with pytest.raises(
            InputError, match=f"models:/heart/1: {name} .*{sentence}|models:/heart/1: {name} {sentence}"
        ):
            inherit_weights(network, replace(parent, checkpoint=broken), config, labels)


@pytest.mark.parametrize("method", ["supervised", "sss", "weak_to_strong on the unet"])
def test_classes_are_known_by_their_names(checkpoint: Path, recipe: Callable[..., Config], method: str) -> None:
    config = recipe(EVERY_METHOD[method])
    theirs = build_network(recipe({**EVERY_METHOD[method], "seed": 7}), classes=4).state_dict()
    head = next(name for name in theirs if name.endswith("head.weight") and name.count(".") <= 2)
    rows = theirs[head].shape[0] // 4
    theirs[head] = torch.arange(4 * rows).view(-1, 1, 1, 1).expand_as(theirs[head]).float()
    old = load_checkpoint(checkpoint)
    meta = old.meta.model_copy(update={"labels": {"background": 0, "a": 1, "b": 2, "c": 3}, "config": config})
    parent = Parent("models:/heart/1", Checkpoint(meta, theirs, old.history), "0" * 64)
    network = build_network(config, classes=3)
    said = inherit_weights(network, parent, config, {"background": 0, "c": 1, "d": 2})
    assert said == [
        "train.init_from: models:/heart/1 has other classes: c is taken over; d is learned from scratch; "
        "a, b are left out"
    ]
    first = network.state_dict()[head].flatten(1)[:, 0].view(3, rows)
    expected = torch.arange(4 * rows).float().view(4, rows)
    assert torch.equal(first[0], expected[0])
    assert torch.equal(first[1], expected[3])
    assert torch.equal(first[2], torch.zeros(rows))


def test_a_frozen_decoder_can_learn_no_new_class(checkpoint: Path, recipe: Callable[..., Config]) -> None:
    config = recipe({"model.freeze_decoder": True, "train.init_from": "x"})
    with pytest.raises(InputError, match=r"freeze_decoder: liver is no class of heart, so nothing could learn it"):
        inherit_weights(
            build_network(config, classes=2), Parent.read(checkpoint, "heart"), config, {"background": 0, "liver": 1}
        )


def with_parent_that_saw(checkpoint: Path, folder: Path, role: str, case: Any, *, by: str) -> Path:
    """The session's checkpoint, but that it saw one more patient, or an image that is nobody's by name."""
    trained = load_checkpoint(checkpoint)
    field = {"patient": "patients", "image": "images"}[by]
    seen = getattr(trained.meta, field)
    one = case.patient if by == "patient" else case.image_sha256
    meta = trained.meta.model_copy(update={field: seen.model_copy(update={role: [*getattr(seen, role), one]})})
    save_checkpoint(folder, meta=meta, weights=trained.weights, history=trained.history.to_dict("records"))
    return folder


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
@pytest.mark.parametrize("by", ["patient", "image"])
def test_patients_that_the_parent_saw_cannot_be_scored(
    tune: Trained, checkpoint: Path, manifest: Manifest, tmp_path: Path, capsys: Any, role: str, by: str
) -> None:
    case = manifest.split("test")[0]
    tuned = tune(parent=with_parent_that_saw(checkpoint, tmp_path / "parent", role, case, by=by))
    with pytest.raises(InputError, match=rf"split test: the checkpoint saw .* as {role} {by}s"):
        check_evaluable(tuned.meta, manifest.labels, manifest.split("test"), split="test")
    assert f"as {role} {by}s; expected {by}s it never saw; no score will be given" in capsys.readouterr().out


def test_patients_that_grandparents_saw_are_recorded(
    tune: Trained, checkpoint: Path, manifest: Manifest, tmp_path: Path
) -> None:
    case = manifest.split("test")[0]
    tune(parent=with_parent_that_saw(checkpoint, tmp_path / "parent", "unlabelled", case, by="image"))
    child = (tmp_path / "tuned").rename(tmp_path / "child")
    grandchild = tune(parent=child)
    assert case.image_sha256 in grandchild.meta.images.unlabelled
    check_evaluable(tune().meta, manifest.labels, manifest.split("test"), split="test")


def test_a_parent_that_learned_from_validation_patients_is_refused(
    tune: Trained, checkpoint: Path, manifest: Manifest, tmp_path: Path
) -> None:
    case = manifest.split("val")[0]
    with pytest.raises(InputError, match=r"train\.init_from: .*parent, split val: .* as labelled patients"):
        tune(parent=with_parent_that_saw(checkpoint, tmp_path / "parent", "labelled", case, by="patient"))


def test_a_parent_without_hashes_of_images_is_recorded_as_such(tune: Trained, checkpoint: Path, tmp_path: Path) -> None:
    trained = load_checkpoint(checkpoint)
    meta = trained.meta.model_copy(update={"images": None})
    save_checkpoint(tmp_path / "old", meta=meta, weights=trained.weights, history=trained.history.to_dict("records"))
    tuned = tune(parent=tmp_path / "old").meta
    assert isinstance(tuned.images, Images)
    assert leak_check(tuned) == "patients and images, those that the model it started from saw by patients alone"


def test_another_parent_is_another_training(recipe: Callable[..., Config]) -> None:
    facts = {"data_version": "1", "manifest_sha256": "2"}
    names = {training_identity(recipe(), **facts, parent_sha256=digest) for digest in (None, "a", "b")}
    assert len(names) == 3
    assert training_identity(recipe(), **facts, pretrained_sha256="a") not in names
