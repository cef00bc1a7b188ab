"""The sections of a recipe that belong to one method alone."""

from __future__ import annotations

from pydantic import Field, model_validator

from sss_model.section import Fraction, Section


class Sss(Section):
    """What method ``sss`` adds to ``weak_to_strong``, each mechanism with its switch; PCSW has its own section."""

    clip: int = Field(ge=1)
    """How many neighbouring slices of a volume make a clip; steps that see clips round batches up to whole ones."""
    clip_every: int | None = Field(ge=1)
    """PCSW and the memory decoder, which need neighbours, take part in every so many steps, which see clips. The others
    see single slices: of many volumes, they teach more than clips of few. Null: all others but ``memory_alone``'s."""
    enhancement: bool
    """Whether features pass through DFE."""
    pair: float = Fraction
    """Probability that a strong view meets the weak view in DFE; else, and in inference, it meets itself."""
    channel_dropout: float = Fraction
    """Probability that two strong views share their features' channels out between them (complementary dropout)."""
    memory: bool
    """Whether the memory decoder's masks are added to the feature decoder's."""
    memory_alone: float = Fraction
    """Share of the budget, its last, in which the memory decoder learns, by itself, from labelled clips, with a
    learning rate that rises and falls anew; all else has finished by then. 0: it learns along with the rest, in the
    steps that see clips."""
    memory_shapes_features: bool
    """Whether what the memory decoder gets wrong changes the encoder, too."""
    bank: int = Field(ge=1)
    """Memories that a class keeps of a volume."""
    reads: int = Field(ge=1)
    """Memories that a slice looks at."""
    jitter: float = Fraction
    """How far prompts made from labels are moved, as a share of their box: PCSW's own error."""
    mask_weight: float = Field(ge=0)
    """Weight of the labelled loss on the memory decoder's masks before they are added."""
    iou_weight: float = Field(ge=0)
    """Weight of the loss on predicted IoU, by which the bank sorts."""

    @property
    def memory_from(self) -> float:
        """The share of the budget from which on the memory decoder learns alone; 1 where it never does."""
        return 1 - self.memory_alone if self.memory else 1.0

    def memory_learns_alone(self, spent: float) -> bool:
        """Whether the step after the share `spent` of the budget is one of the memory decoder's own."""
        return self.memory_from < 1 and spent >= self.memory_from

    def sees_clips(self, step: int, spent: float) -> bool:
        """Whether a step sees clips, and PCSW takes part in it."""
        return self.memory_learns_alone(spent) or (self.clip_every is not None and step % self.clip_every == 0)

    def remembers(self, step: int, spent: float) -> bool:
        """Whether the memory decoder takes part in a step."""
        return self.memory_learns_alone(spent) if self.memory_from < 1 else self.sees_clips(step, spent)

    def clip_at(self, step: int, spent: float) -> int:
        """How many slices in a row are neighbours in a step."""
        return self.clip if self.sees_clips(step, spent) else 1

    @model_validator(mode="after")
    def _memory_learns(self) -> Sss:
        if self.memory and self.clip_every is None and not self.memory_alone:
            raise ValueError("no step sees clips, which memory needs; expected clip_every or memory_alone")
        return self


class Pcsw(Section):
    """When a predicted component may prompt and supervise. The idea is the paper's, every value here is ours."""

    enabled: bool
    """Whether components are judged; else each one prompts, and supervises."""
    warmup: float = Fraction
    """Share of the budget in which nothing is prompted by a prediction, nor judged."""
    surveys: list[float] = Field(default_factory=list)
    """Shares of the budget at which the teacher segments all unlabelled scans. What PCSW rejects in a whole volume does
    not teach from then on, whatever a step sees. Verdicts take a byte of memory a pixel."""
    window: int = Field(default=3, ge=1)
    """N, slices a window; the windows slide by one slice. 1 turns the comparison between slices off."""
    min_area_mm2: float = Field(default=10.0, ge=0)
    """A component smaller than this is rejected without a look at its neighbours."""
    min_overlap: float = Field(default=0.1, gt=0, le=1)
    """Shared area of two components' boxes over the smaller box, from which they may be one structure."""
    max_area_ratio: float = Field(default=8.0, ge=1)
    """Larger over smaller area, up to which they may."""
    max_shift: float = Field(default=2.0, gt=0)
    """Distance of their centroids in mm per mm of slice distance, up to which they may."""
    min_confidence: float = Field(default=0.6, ge=0, le=1)
    """Mean probability that a chain of components needs."""
    thin: bool = False
    """Whether a structure may be thinner than N slices, as haemorrhages are: a chain too short is then judged by the
    two values below. 2-D data and what a clip's end cuts off always are."""
    thin_confidence: float = Field(default=0.8, ge=0, le=1)
    """Mean probability that such a chain needs."""
    thin_area_mm2: float = Field(default=25.0, ge=0)
    """Area that its largest component needs."""
    margin_mm: float = Field(default=2.0, ge=0)
    """How far a box reaches beyond its component."""
    max_components: int = Field(default=4, ge=1)
    """Prompts a slice and class: of more components the largest ones prompt, though all supervise."""


class UniMatch(Section):
    """What method ``unimatch`` has of its own; the defaults of all recipes are its authors'."""

    confidence: float = Fraction
    """Takes the place of ``train.confidence``."""
    feature_dropout: float = Field(ge=0, lt=1)
    """The share of channels that the perturbed view's features lose."""
