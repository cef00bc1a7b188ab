"""SSS: weak-to-strong consistency on clips, with DFE between the views, PCSW's judgement and a memory decoder.

Source: arXiv 2506.08949 for the parts and how they are joined; equations, weights and schedules are ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.network.prompts import NONE, OWN, TRUTH, Prompter
from sss_model.training.batches import Batches, Labelled, Unlabelled
from sss_model.training.losses import mask_losses, pseudo_labels, segmentation_loss
from sss_model.training.methods.base import Method, Target, Teacher
from sss_model.training.micro_batches import Inputs, Objective, Outputs
from sss_model.training.schedule import unlabelled_weight

# Names of the random streams, each under (seed, step).
_MODE, _JITTER, _PAIR, _CHANNELS, _READS = range(5)


class Sss(Method):
    """Labelled clips, and unlabelled ones in one weak and two strong views."""

    def __init__(self, config: Config, classes: list[str]) -> None:
        super().__init__(config, classes)
        self._prompter = Prompter(config, foreground=len(classes))

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> tuple[Inputs, Objective]:
        labelled = batches.labelled(step, progress)
        sss, alone = self.config.sss, self.config.sss.memory_learns_alone(progress)
        weight = 0.0 if alone else unlabelled_weight(self.config.train, progress)
        clip = sss.clip_at(step, progress)
        judged = sss.sees_clips(step, progress) and progress >= self.config.pcsw.warmup
        common = {"clip": clip, "remember": sss.remembers(step, progress), "memory_alone": alone}
        of_labelled = self._labelled_inputs(batches, labelled, clip, step=step, judged=judged)
        if not weight:
            return of_labelled | common, lambda outputs: self._labelled_loss(outputs, labelled)

        unlabelled = batches.unlabelled(step, labelled, progress)
        mode = torch.full((len(unlabelled.weak),), OWN if judged else NONE)
        taught = teacher(
            {"images": unlabelled.weak, "places": unlabelled.places, "spacing": unlabelled.spacing}
            | {"prompting": {"mode": mode}, "keep": True}
            | common
        )
        target, plausible = self._target(taught, unlabelled, judged=judged)
        views = self._strong_inputs(batches, unlabelled, taught, mode, step=step)

        def objective(outputs: Outputs) -> dict[str, Tensor]:
            first, *strong = _split(outputs, [len(labelled.images), *map(len, unlabelled.strong)])
            scalars = self._labelled_loss(first, labelled)
            losses = [
                _heads_loss(view, *target.pasted(mix, labelled))
                for view, mix in zip(strong, unlabelled.mixes, strict=True)
            ]
            loss_unlabelled = torch.stack(losses).mean()
            loss = (scalars["loss"] + weight * loss_unlabelled) / 2
            return scalars | {"loss": loss, "loss_unlabelled": loss_unlabelled, **self.accepted(*target), **plausible}

        return _joined([self._alone(of_labelled, taught), *views]) | common, objective

    def _labelled_inputs(self, batches: Batches, labelled: Labelled, clip: int, *, step: int, judged: bool) -> Inputs:
        """Half of the clips get their own prompts, a quarter none, a quarter their labels', moved about."""
        count = len(labelled.images)
        u = batches.uniform(_MODE, step, count // clip, 1)[:, 0].cpu()
        own = OWN if judged else NONE
        mode = torch.where(u < 0.5, own, torch.where(u < 0.75, NONE, TRUTH)).repeat_interleave(clip)
        return {
            "images": labelled.images,
            "places": labelled.places,
            "spacing": labelled.spacing,
            "prompting": {
                "mode": mode,
                "truth": labelled.labels,
                "jitter": batches.uniform(_JITTER, step, count, 4 * len(self.classes)).unflatten(1, (-1, 4)),
            },
            "draws": self._reads(batches, step, count, stream=0),
        }

    def _strong_inputs(
        self, batches: Batches, unlabelled: Unlabelled, taught: Outputs, mode: Tensor, *, step: int
    ) -> list[Inputs]:
        sss, count = self.config.sss, len(unlabelled.weak)
        clips = count // unlabelled.clip
        pairs = (batches.uniform(_PAIR, step, clips, 2) < sss.pair).repeat_interleave(unlabelled.clip, 0)
        partners = _features(taught)
        channels = self._channels(batches, [feature.shape[1] for feature in partners], step, count, unlabelled.clip)
        views = []
        for number, (images, mix) in enumerate(zip(unlabelled.strong, unlabelled.mixes, strict=True)):
            view: Inputs = {
                "images": images,
                "places": unlabelled.strong_places[number],
                "spacing": unlabelled.spacing,
                "prompting": {
                    "mode": mode,
                    "truth": torch.zeros_like(mix.boxes, dtype=torch.long),
                    "jitter": images.new_zeros(count, len(self.classes), 4),
                },
                "draws": self._reads(batches, step, count, stream=1 + number),
                # What CutMix pasted into the view is pasted into the partner, too; the teacher hasn't seen labelled
                # slices, so a view that holds a piece of one meets itself.
                "partners": [mix.paste(feature) for feature in partners],
                "paired": pairs[:, number] & ~(mix.from_labelled & mix.boxes.any(2).any(1)),
            }
            if channels:
                view["channels"] = [kept[number] for kept in channels]
            views.append(view)
        return views

    def _alone(self, inputs: Inputs, taught: Outputs) -> Inputs:
        """A stream that meets itself, with the keys of those that meet another."""
        count = len(inputs["images"])
        partners = [feature.new_zeros(count, *feature.shape[1:]) for feature in _features(taught)]
        alone = inputs | {
            "partners": partners,
            "paired": torch.zeros(count, dtype=torch.bool, device=inputs["images"].device),
        }
        if self.config.sss.channel_dropout:
            alone["channels"] = [inputs["images"].new_ones(count, partner.shape[1]) for partner in partners]
        return alone

    def _channels(
        self, batches: Batches, widths: list[int], step: int, count: int, clip: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Per scale, the factors of both strong views' channels (count, C): what one view keeps, doubled, the other
        lacks (complementary dropout, UniMatch V2); none where the recipe drops none."""
        if not self.config.sss.channel_dropout:
            return []
        u = batches.uniform(_CHANNELS, step, count // clip, 1 + sum(widths)).repeat_interleave(clip, 0)
        dropped = u[:, :1] < self.config.sss.channel_dropout
        scales = u[:, 1:].split(widths, 1)
        first = [torch.where(dropped, 2.0 * (scale < 0.5), 1.0) for scale in scales]
        return [(kept, 2 - kept) for kept in first]

    def _reads(self, batches: Batches, step: int, count: int, *, stream: int) -> Tensor:
        reads = self.config.sss.reads
        drawn = batches.uniform(_READS + stream, step, count, len(self.classes) * reads)
        return drawn.view(count, len(self.classes), reads)

    def _target(self, taught: Outputs, unlabelled: Unlabelled, *, judged: bool) -> tuple[Target, dict[str, Tensor]]:
        """What the weak view teaches; per class, the share that PCSW finds plausible."""
        logits = taught.get("fused", taught["coarse"])
        classes, kept = pseudo_labels(logits, self.config.train.confidence)
        plausible = unlabelled.plausible
        if judged and self.config.pcsw.enabled:
            of_clips = self._prompter.plausible(logits, unlabelled.spacing, clip=unlabelled.clip)
            plausible = of_clips if plausible is None else plausible & of_clips
        if plausible is None:
            return Target(classes, kept), {}
        return Target(classes, kept & plausible), self.shares("plausible", classes, plausible)

    def _labelled_loss(self, outputs: Outputs, labelled: Labelled) -> dict[str, Tensor]:
        loss = _heads_loss(outputs, labelled.labels)
        scalars = {"loss_labelled": loss}
        if "masks" in outputs:
            scalars |= mask_losses(outputs["masks"], outputs["iou"], outputs["prompted"], labelled.labels)
            loss = loss + self.config.sss.mask_weight * scalars["loss_masks"]
            loss = loss + self.config.sss.iou_weight * scalars["loss_iou"]
        return scalars | {"loss": loss}


def _heads_loss(outputs: Outputs, target: Tensor, kept: Tensor | None = None) -> Tensor:
    heads = [outputs[name] for name in ("coarse", "fused") if name in outputs]
    return torch.stack([segmentation_loss(logits, target, kept) for logits in heads]).mean()


def _split(outputs: Outputs, sizes: list[int]) -> list[Outputs]:
    parts = {name: value.split(sizes) for name, value in outputs.items()}
    return [{name: part[number] for name, part in parts.items()} for number in range(len(sizes))]


def _features(taught: Outputs) -> list[Tensor]:
    return [taught[f"features{scale}"] for scale in range(3)]


def _joined(streams: list[Any]) -> Any:
    """Streams of inputs as one batch."""
    first = streams[0]
    if isinstance(first, Tensor):
        return torch.cat(streams)
    if isinstance(first, list):
        return [_joined(list(parts)) for parts in zip(*streams, strict=True)]
    return {name: _joined([stream[name] for stream in streams]) for name in first}
