"""SSS: weak-to-strong consistency on clips, with DFE between the views, PCSW's judgement and a memory decoder.

Source: arXiv 2506.08949 for the parts and how they are joined; equations, weights and schedules are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.network.base import ClipBatch, Prompting, PromptSource, SegmenterOutput, join_streams
from sss_model.network.prompts import Prompter
from sss_model.training.batches import Batches, LabelledBatch, UnlabelledBatch
from sss_model.training.losses import mask_losses, pseudo_labels, segmentation_loss
from sss_model.training.methods.base import Target, Task, Teacher, TrainingMethod
from sss_model.training.schedule import unlabelled_weight

# Numbers of the random streams, each under (seed, step). Reads come last: each of the three views has one of its own.
_SOURCE, _JITTER, _PAIR, _CHANNELS, _READS = range(5)


class SssMethod(TrainingMethod):
    """Labelled clips, and unlabelled ones in one weak and two strong views."""

    def __init__(self, config: Config, classes: list[str]) -> None:
        super().__init__(config, classes)
        self._prompter = Prompter(config, foreground=len(classes))

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> Task:
        labelled = batches.labelled(step, progress)
        sss, alone = self.config.sss, self.config.sss.memory_learns_alone(progress)
        weight = 0.0 if alone else unlabelled_weight(self.config.train, progress)
        judged = sss.sees_clips(step, progress) and progress >= self.config.pcsw.warmup
        source = int(PromptSource.OWN if judged else PromptSource.NONE)
        of_labelled = self._labelled_stream(batches, labelled, source, step=step, progress=progress)
        if not weight:
            return Task(of_labelled, lambda output: self._labelled_loss(output, labelled))

        unlabelled = batches.unlabelled(step, labelled, progress)
        weak = of_labelled._replace(
            images=unlabelled.weak,
            slice_position=unlabelled.slice_position,
            spacing=unlabelled.spacing,
            prompting=Prompting(torch.full((len(unlabelled.weak),), source)),
            memory_draws=None,
        )
        of_teacher = teacher(weak._replace(keep_features=True))
        target, plausible = self._target(of_teacher.logits, unlabelled, judged=judged)
        streams = [of_labelled, *self._strong_streams(batches, unlabelled, weak, of_teacher, step=step)]

        def objective(output: SegmenterOutput) -> dict[str, Tensor]:
            first, *strong = output.split([stream.size for stream in streams])
            scalars = self._labelled_loss(first, labelled)
            losses = [
                _heads_loss(of_view, *target.pasted(view.mix, labelled))
                for of_view, view in zip(strong, unlabelled.strong, strict=True)
            ]
            loss_unlabelled = torch.stack(losses).mean()
            loss = (scalars["loss"] + weight * loss_unlabelled) / 2
            return scalars | {"loss": loss, "loss_unlabelled": loss_unlabelled, **self.accepted(target), **plausible}

        return Task(join_streams(streams), objective)

    def _labelled_stream(
        self, batches: Batches, labelled: LabelledBatch, source: int, *, step: int, progress: float
    ) -> ClipBatch:
        """Half of the clips are prompted from `source`, a quarter by nothing, a quarter by their jittered labels."""
        sss, count = self.config.sss, len(labelled.images)
        clip = sss.clip_length(step, progress)
        u = batches.uniform(_SOURCE, step, count // clip, 1)[:, 0].cpu()
        rest = torch.where(u < 0.75, int(PromptSource.NONE), int(PromptSource.LABEL))
        prompting = Prompting(
            source=torch.where(u < 0.5, source, rest).repeat_interleave(clip),
            labels=labelled.labels,
            jitter=batches.uniform(_JITTER, step, count, 4 * len(self.classes)).unflatten(1, (-1, 4)),
        )
        return ClipBatch(
            images=labelled.images,
            slice_position=labelled.slice_position,
            clip=clip,
            spacing=labelled.spacing,
            prompting=prompting,
            memory_draws=self._reads(batches, step, count, stream=0),
            use_memory=sss.trains_memory(step, progress),
            memory_alone=sss.memory_learns_alone(progress),
        )

    def _strong_streams(
        self, batches: Batches, unlabelled: UnlabelledBatch, weak: ClipBatch, of_teacher: SegmenterOutput, *, step: int
    ) -> list[ClipBatch]:
        clips = weak.size // weak.clip
        pairs = (batches.uniform(_PAIR, step, clips, 2) < self.config.sss.pair).repeat_interleave(weak.clip, 0)
        partners = of_teacher.features or ()
        factors = self._channel_factors(batches, [feature.shape[1] for feature in partners], step, weak)
        return [
            weak._replace(
                images=view.images,
                slice_position=view.slice_position,
                memory_draws=self._reads(batches, step, weak.size, stream=1 + number),
                # What CutMix pasted into the view is pasted into its partner, too. The teacher hasn't seen labelled
                # slices, so a view that holds a piece of one is paired with itself.
                partners=tuple(view.mix.paste(feature) for feature in partners),
                paired=pairs[:, number] & ~(view.mix.from_labelled & view.mix.boxes.any(2).any(1)),
                channel_factors=factors[number],
            )
            for number, view in enumerate(unlabelled.strong)
        ]

    def _channel_factors(
        self, batches: Batches, widths: list[int], step: int, weak: ClipBatch
    ) -> tuple[tuple[Tensor, ...] | None, tuple[Tensor, ...] | None]:
        """Per strong view and scale, factors (B, C): a channel that one view keeps, doubled, is dropped in the other
        (complementary dropout, UniMatch V2); None where the recipe drops none."""
        if not self.config.sss.channel_dropout:
            return None, None
        u = batches.uniform(_CHANNELS, step, weak.size // weak.clip, 1 + sum(widths)).repeat_interleave(weak.clip, 0)
        dropped = u[:, :1] < self.config.sss.channel_dropout
        scales = u[:, 1:].split(widths, 1)
        first = [torch.where(dropped, 2.0 * (scale < 0.5), 1.0) for scale in scales]
        return tuple(first), tuple(2 - kept for kept in first)

    def _reads(self, batches: Batches, step: int, count: int, *, stream: int) -> Tensor:
        reads = self.config.sss.reads
        drawn = batches.uniform(_READS + stream, step, count, len(self.classes) * reads)
        return drawn.view(count, len(self.classes), reads)

    def _target(self, logits: Tensor, unlabelled: UnlabelledBatch, *, judged: bool) -> tuple[Target, dict[str, Tensor]]:
        """The pseudo-labels of the weak view; per class, the share of pixels that PCSW finds plausible."""
        classes, kept = pseudo_labels(logits, self.config.train.confidence)
        plausible = unlabelled.plausible
        if judged and self.config.pcsw.enabled:
            of_clips = self._prompter.plausible(logits, unlabelled.spacing, clip=unlabelled.clip)
            plausible = of_clips if plausible is None else plausible & of_clips
        if plausible is None:
            return Target(classes, kept), {}
        return Target(classes, kept & plausible), self.shares("plausible", classes, plausible)

    def _labelled_loss(self, output: SegmenterOutput, labelled: LabelledBatch) -> dict[str, Tensor]:
        loss = _heads_loss(output, labelled.labels)
        scalars = {"loss_labelled": loss}
        if output.masks is not None:
            scalars |= mask_losses(output.masks, labelled.labels)
            loss = loss + self.config.sss.mask_weight * scalars["loss_masks"]
            loss = loss + self.config.sss.iou_weight * scalars["loss_iou"]
        return scalars | {"loss": loss}


def _heads_loss(output: SegmenterOutput, classes: Tensor, kept: Tensor | None = None) -> Tensor:
    heads = [logits for logits in (output.coarse, output.fused) if logits is not None]
    return torch.stack([segmentation_loss(logits, classes, kept) for logits in heads]).mean()
