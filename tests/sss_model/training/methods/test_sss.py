"""SSS's step: what the student is given, whom it meets, and that everything in it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning_fabric import Fabric

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest, cohort
from sss_model.data.slices import SliceCache, SliceSet
from sss_model.errors import InputError
from sss_model.network import build_network
from sss_model.network.base import ClipBatch, MemoryMasks
from sss_model.network.segmenter import SssSegmenter
from sss_model.training.batches import Batches, UnlabelledBatch
from sss_model.training.learner import Learner
from sss_model.training.losses import mask_losses
from sss_model.training.methods.sss import SssMethod
from sss_model.training.teacher_findings import TeacherFindings
from sss_model.training.train import train

CLIP = 4
SSS: dict[str, Any] = {
    "train.method": "sss",
    "train.batch": 2 * CLIP,
    "train.unlabelled_batch": 2 * CLIP,
    "train.unlabelled_from": 0,
    "train.ramp": 0,
    "train.confidence": 0.4,
    "train.lr": 0.004,
    # Else what has no gradient moves, too.
    "train.weight_decay": 0,
    "pcsw.warmup": 0,
    "sss.clip": CLIP,
    "sss.clip_every": 1,
}


class Bench(NamedTuple):
    config: Config
    network: SssSegmenter
    batches: Batches
    learner: Learner


@pytest.fixture(scope="module")
def bench(recipe: Callable[..., Config], phantom: Path, manifest: Manifest, cache_dir: Path) -> Callable[..., Bench]:
    """Sets a training up without running it."""

    def make(overrides: dict[str, Any] | None = None) -> Bench:
        config = recipe({**SSS, **(overrides or {})})
        fabric = Fabric(accelerator="cpu", devices=1)
        cache = SliceCache(cache_dir, data_dir=phantom, config=config.data, classes=4)
        patients = cohort(manifest, 1)

        def seen(cases: Any, labels: Any) -> SliceSet:
            return SliceSet(cache.images(cases), labels, True, [case.slice_distance_mm for case in cases])

        batches = Batches(
            config,
            labelled=seen(patients.labelled, cache.labels(patients.labelled)),
            unlabelled=seen(patients.unlabelled, None),
            fabric=fabric,
        )
        network = build_network(config, classes=4)
        assert isinstance(network, SssSegmenter)
        return Bench(config, network, batches, Learner(network, config, ["RV", "MYO", "LV"], fabric))

    return make


def test_after_fifty_steps_everything_that_can_learn_has_moved(bench: Callable[..., Bench]) -> None:
    _, network, batches, learner = bench({"model.context": True})
    before = {name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad}
    for step in range(50):
        learner.step(batches, step=step, progress=0.2)
    after = dict(network.named_parameters())
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert still == []


@pytest.fixture(scope="module")
def trained(bench: Callable[..., Bench]) -> Bench:
    made = bench()
    for step in range(40):
        made.learner.step(made.batches, step=step, progress=0.2)
    made.network.eval()
    return made


@torch.no_grad()
@pytest.mark.parametrize("mechanism", ["enhancement", "memory"])
def test_a_trained_mechanism_that_is_switched_off_changes_the_prediction(trained: Bench, mechanism: str) -> None:
    network = trained.network
    images = unlabelled_of(trained).weak[:CLIP]
    whole = network.segment(images, (10.0, 2.5, 2.5), batch=8)
    part = getattr(network, mechanism)
    setattr(network, mechanism, None)
    try:
        without = network.segment(images, (10.0, 2.5, 2.5), batch=8)
    finally:
        setattr(network, mechanism, part)
    assert not torch.allclose(whole, without, atol=1e-3)


def unlabelled_of(made: Bench, *, step: int = 0) -> UnlabelledBatch:
    return made.batches.unlabelled(step, made.batches.labelled(step))


def asked(made: Bench, *, step: int = 0, progress: float = 0.5) -> ClipBatch:
    """What the student is given in a step."""
    method = SssMethod(made.config, ["RV", "MYO", "LV"])
    return method.task(made.batches, made.learner._teach, step=step, progress=progress).batch


@torch.no_grad()
def features_of(made: Bench, batch: ClipBatch) -> tuple[torch.Tensor, ...]:
    """The teacher's features."""
    features = made.learner._teach(batch._replace(keep_features=True)).features
    assert features is not None
    return features


def test_steps_of_clips_round_their_batches_up_to_whole_ones(bench: Callable[..., Bench]) -> None:
    made = bench({"train.batch": 2, "train.unlabelled_batch": 2, "sss.clip_every": 2})
    sizes = [(len(made.batches.labelled(step).images), len(unlabelled_of(made, step=step).weak)) for step in range(3)]
    assert sizes == [(CLIP, 2 * CLIP), (2, 2), (CLIP, 2 * CLIP)]  # pairs of unlabelled clips, for CutMix
    made.learner.step(made.batches, step=0, progress=0.5)


def test_strong_views_are_paired_with_the_weak_one_labelled_slices_with_none(
    bench: Callable[..., Bench],
) -> None:
    made = bench({"sss.pair": 1.0, "views.cutmix": 0.0, "views.cutmix_labelled": 0.0})
    inputs = asked(made)
    labelled, first, second = inputs.paired.split(2 * CLIP)
    assert not labelled.any()
    assert first.all()
    assert second.all()
    weak = unlabelled_of(made).weak
    features = features_of(made, ClipBatch(weak, spacing=inputs.spacing[: 2 * CLIP], clip=CLIP))
    for scale, partner in enumerate(inputs.partners):
        _, *views = partner.split(2 * CLIP)
        for view in views:
            torch.testing.assert_close(view, features[scale])


def test_cutmix_pastes_into_a_strong_view_and_into_its_partner_features(
    bench: Callable[..., Bench],
) -> None:
    made = bench({"sss.pair": 1.0, "views.cutmix": 1.0, "views.cutmix_labelled": 0.0})
    inputs, unlabelled = asked(made), unlabelled_of(made)
    features = features_of(made, ClipBatch(unlabelled.weak, spacing=unlabelled.spacing, clip=CLIP))
    assert inputs.paired[2 * CLIP :].all()
    for scale, partner in enumerate(inputs.partners):
        of_teacher = features[scale]
        _, *views = partner.split(2 * CLIP)
        for view, strong in zip(views, unlabelled.strong, strict=True):
            torch.testing.assert_close(view, strong.mix.paste(of_teacher))
        assert not torch.allclose(views[0], of_teacher)


def test_a_view_with_a_piece_of_a_labelled_slice_is_paired_with_itself(bench: Callable[..., Bench]) -> None:
    made = bench({"sss.pair": 1.0, "views.cutmix": 1.0, "views.cutmix_labelled": 1.0})
    assert not asked(made).paired.any()


def test_half_of_the_pairs_are_dropped(bench: Callable[..., Bench]) -> None:
    made = bench({"views.cutmix_labelled": 0.0})
    paired = torch.cat([asked(made, step=step).paired[2 * CLIP :: CLIP] for step in range(12)])
    assert 0.3 < float(paired.float().mean()) < 0.7


def test_the_strong_views_keep_complementary_channels(bench: Callable[..., Bench]) -> None:
    for kept in asked(bench({"sss.channel_dropout": 1.0})).channel_factors:
        labelled, first, second = kept.split(2 * CLIP)
        assert torch.all(labelled == 1)
        assert torch.all(first + second == 2)
        assert set(first.unique().tolist()) == {0.0, 2.0}
        assert torch.equal(first[0], first[CLIP - 1])  # a clip's slices lose the same channels


def test_slices_of_a_clip_are_neighbours_moved_alike(bench: Callable[..., Bench]) -> None:
    made = bench({"views.cutmix": 1.0})
    unlabelled = unlabelled_of(made, step=3)
    for clip in range(2):
        these = slice(clip * CLIP, (clip + 1) * CLIP)
        assert len(unlabelled.spacing[these].unique(dim=0)) == 1
        for mix in [view.mix for view in unlabelled.strong]:
            assert torch.equal(mix.boxes[these], mix.boxes[these][:1].expand(CLIP, -1, -1))
            assert len(mix.from_labelled[these].unique()) == 1
    # The slice after, as the third channel, is the next slice of the clip.
    torch.testing.assert_close(unlabelled.weak[0, 2], unlabelled.weak[1, 1])


def test_prompts_come_from_labels_in_a_quarter_of_the_labelled_clips(bench: Callable[..., Bench]) -> None:
    made = bench()
    modes = torch.stack([asked(made, step=step).prompting.source for step in range(40)])
    labelled, strong = modes[:, : 2 * CLIP : CLIP].flatten(), modes[:, 2 * CLIP :]
    assert not strong.any()  # their own, always
    shares = [float((labelled == mode).float().mean()) for mode in range(3)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.15)


def test_in_the_warmup_of_pcsw_no_prediction_prompts(bench: Callable[..., Bench]) -> None:
    made = bench({"pcsw.warmup": 0.8})
    assert not (asked(made, progress=0.5).prompting.source == 0).any()
    assert (asked(made, progress=0.9).prompting.source == 0).any()


def test_the_memory_decoder_can_take_part_in_some_steps_only(bench: Callable[..., Bench]) -> None:
    made = bench({"sss.clip_every": 3})
    assert [asked(made, step=step).use_memory for step in range(4)] == [True, False, False, True]
    assert "loss_masks" not in made.learner.step(made.batches, step=1, progress=0.5)
    assert "loss_masks" in made.learner.step(made.batches, step=3, progress=0.5)


def test_right_masks_have_no_loss() -> None:
    target = torch.zeros(1, 16, 16, dtype=torch.long)
    target[:, 4:12, 4:12] = 2
    right = torch.full((1, 2, 4, 4), -30.0)
    right[0, 1, 1:3, 1:3] = 30.0
    prompted = torch.ones(1, 2, dtype=torch.bool)
    costs = mask_losses(MemoryMasks(right, torch.ones(1, 2), prompted), target)
    assert float(costs["loss_masks"]) == pytest.approx(0, abs=1e-3)
    assert float(costs["loss_iou"]) == pytest.approx(0, abs=1e-6)
    assert float(mask_losses(MemoryMasks(-right, torch.ones(1, 2), prompted), target)["loss_masks"]) > 1
    assert float(mask_losses(MemoryMasks(-right, torch.ones(1, 2), ~prompted), target)["loss_masks"]) == 0


def test_the_memory_decoder_learns_alone_at_the_end(bench: Callable[..., Bench]) -> None:
    _, network, batches, learner = bench({"sss.clip_every": None, "sss.memory_alone": 0.25, "train.batch": 2})

    def moved(progress: float, steps: range) -> set[str]:
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        for step in steps:
            learner.step(batches, step=step, progress=progress)
        return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}

    rest = {name for name, _ in network.named_parameters() if not name.startswith(("memory.", "gate"))}
    assert moved(0.5, range(3)) <= rest
    assert len(batches.labelled(3, 0.5).images) == 2
    # Right at its start, after a rate of nearly nothing: the rate has risen anew.
    alone = moved(0.8, range(3, 6))
    assert alone
    assert not alone & rest
    assert len(batches.labelled(6, 0.8).images) == CLIP
    assert learner.lr > 0.5 * SSS["train.lr"]


def test_a_memory_decoder_that_no_step_would_teach_is_refused(bench: Callable[..., Bench]) -> None:
    with pytest.raises(InputError, match="clip_every or memory_alone"):
        bench({"sss.clip_every": None})


def test_what_a_volume_check_rejected_is_no_pseudo_label_in_any_step(bench: Callable[..., Bench]) -> None:
    made = bench({"sss.clip_every": 2})
    for step in (0, 1):
        made.batches.findings = TeacherFindings()
        before = target_of(made, step)
        assert before.any()
        everything = torch.ones(len(made.batches._unlabelled), made.config.data.canvas, made.config.data.canvas)
        made.batches.findings = TeacherFindings(rejected=everything.to(torch.uint8), volume_checks=1)
        # Nothing was checked beyond the canvas.
        assert target_of(made, step).float().mean() < 0.2 * before.float().mean()


def target_of(made: Bench, step: int) -> torch.Tensor:
    """Where pseudo-labels count in a step."""
    method, unlabelled = SssMethod(made.config, ["RV", "MYO", "LV"]), unlabelled_of(made, step=step)
    clip = unlabelled.clip
    taught = made.learner._teach(ClipBatch(unlabelled.weak, spacing=unlabelled.spacing, clip=clip))
    return method._target(taught.logits, unlabelled, judged=clip > 1)[0].kept


def test_a_validation_precedes_the_memory_decoders_own_steps(
    train_phantom: Callable[..., Path],
) -> None:
    steps = {"train.steps": 8, "train.val_every": 100}
    folder = train_phantom({**SSS, **steps, "sss.clip_every": None, "sss.memory_alone": 0.5})
    history = load_checkpoint(folder).history
    assert history.loc[history["val_dice"].notna(), "step"].tolist() == [4, 8]


def test_the_training_log_has_the_memory_decoders_losses(
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
