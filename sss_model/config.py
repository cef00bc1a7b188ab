"""Settings as typed, frozen objects: the shape of ``params.yaml``.

Every choice the paper leaves open is a field here. An unknown key, a missing key or a value of the wrong kind is an
`InputError` that names the key.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sss_model.errors import InputError

# What all sections of a recipe have in common.


Fraction = Field(ge=0, le=1)


class Section(BaseModel):
    """Typed, frozen settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# How far views are augmented, as a recipe says it.


class Views(Section):
    """How far augmentation goes. The weak view moves a slice, the strong views recolour the weak one."""

    rotation_degrees: float = Field(ge=0, le=180)
    scale: float = Field(ge=0, lt=1)
    """Zoom is drawn from ``1 - scale`` to ``1 / (1 - scale)``."""
    shift: float = Fraction
    """Translation as a share of the field of view."""
    flips: bool
    local_zoom: float = Field(ge=0, lt=1)
    """How far a spot in the view swells or shrinks: by what share its pixels move towards its middle, or away."""
    contrast: float = Field(ge=0, lt=1)
    brightness: float = Field(ge=0)
    """In standard deviations of the volume, as intensities are standardised."""
    gamma: float = Field(ge=0, lt=1)
    noise: float = Field(ge=0)
    """Largest standard deviation of added noise, in standard deviations of the volume."""
    cutmix: float = Fraction
    """Probability that a strong view receives a box from its partner."""
    cutmix_labelled: float = Fraction
    """Probability that this partner is a labelled slice, whose label comes along, instead of an unlabelled one."""


# The sections of a recipe that belong to one method alone.


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

    def memory_learns_alone(self, progress: float) -> bool:
        """Whether the step after the share `progress` of the budget is one of the memory decoder's own."""
        return self.memory_from < 1 and progress >= self.memory_from

    def sees_clips(self, step: int, progress: float) -> bool:
        """Whether a step sees clips, and PCSW takes part in it."""
        return self.memory_learns_alone(progress) or (self.clip_every is not None and step % self.clip_every == 0)

    def remembers(self, step: int, progress: float) -> bool:
        """Whether the memory decoder takes part in a step."""
        return self.memory_learns_alone(progress) if self.memory_from < 1 else self.sees_clips(step, progress)

    def clip_at(self, step: int, progress: float) -> int:
        """How many slices in a row are neighbours in a step."""
        return self.clip if self.sees_clips(step, progress) else 1

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
    volume_checks: list[float] = Field(default_factory=list)
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


# The thresholds of the data gate: what is far outside a cohort, and how many patients are enough.


class DataChecks(Section):
    """Thresholds of the data gate; null switches a check off where it can be null. ``docs/validation.md`` has the
    checks, and what was measured to choose these values."""

    min_labelled_patients: int = Field(ge=1)
    min_test_patients: int = Field(ge=1)
    same_person: tuple[tuple[str, ...], ...] = ()
    """Patients known to be one person under several names, say ``[[patient074, patient076]]``: they may then look
    alike, and must be on one side of the split."""
    max_similarity: float = Field(default=0.75, gt=0, le=1)
    """Correlation of two scans' thumbnails from which they are taken for one scan."""
    deviations: float = Field(default=6.0, gt=0)
    """Robust standard deviations, of a logarithm, beyond which a value is far outside its cohort; at least, though, the
    factor of the value's own below."""
    spacing_factor: float = Field(default=4.0, gt=1)
    """Of the usual voxel size."""
    slices_factor: float = Field(default=4.0, gt=1)
    """Of the usual number of slices."""
    contrast_factor: float = Field(default=8.0, gt=1)
    """Of the usual range of intensities."""
    volume_factor: float = Field(default=12.0, gt=1)
    """Of a structure's usual volume."""
    max_level_shift: float | None = Field(default=0.5, gt=0)
    """How far a scan's darkest tone may be from the usual one, in usual ranges of intensities."""
    max_flat_share: float = Field(default=0.9, gt=0, le=1)
    """Share of a scan's voxels that may have one and the same value."""
    max_blank_slices: int | None = Field(default=0, ge=0)
    """Slices of a scan that may have nothing on them."""
    max_dark_share: float = Field(default=0.1, gt=0, le=1)
    """Share of a scan's labelled voxels that may have the scan's lowest value."""
    min_fit: float | None = Field(default=0.8, gt=0, le=1)
    """How well a label map explains its scan where it is, over how well it would nearby."""
    max_gap_mm: float | None = Field(default=20.0, ge=0)
    """Between the largest part of a structure and its farthest; null where a class may be in many places."""
    empty_labels: bool = False
    """Whether a label map may be empty, as for a patient without the disease."""

    @field_validator("same_person")
    @classmethod
    def _two_or_more(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        names = [name for group in groups for name in group]
        if any(len(group) < 2 for group in groups) or len(set(names)) < len(names):
            raise ValueError("each entry must name two or more patients, and each patient once")
        return groups


# The sections of a recipe that say what becomes of a model: where it is registered, and when it may be promoted.


class Register(Section):
    """Where a model is registered, and from which Dice on."""

    experiment: str
    model: str
    min_dice: float = Fraction
    """Mean test Dice below which a model is not registered; 0 registers any."""


class Promotion(Section):
    """What a version must show to become the champion; `sss_model.evaluation.comparison` says how it is measured."""

    min_patients: int = Field(ge=2)
    """Test patients that neither model saw, below which nothing is promoted."""
    min_dice: float = Fraction
    """Mean Dice on them (over cases, then classes) that a version must reach, with or without a champion."""
    margin: float = Fraction
    """How much Dice a class may lose against the champion: the whole interval of its difference must lie above that."""
    class_margins: dict[str, Annotated[float, Fraction]]
    """Other margins for single classes, by name."""
    confidence: float = Field(gt=0.5, lt=1)
    """Of the differences' intervals, two-sided."""
    resamples: int = Field(ge=1000)
    """Times that patients are drawn for them."""


# Which parts of a network may be kept as they are.


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


# What a training does not read: data gate, evaluation, registration, promotion.
NOT_TRAINED = ("data_checks", "evaluation", "register", "promotion")

Encoder = Literal["micro", "tiny", "small", "base_plus", "large"]
Network = Literal["sam2", "unet"]
Method = Literal["supervised", "weak_to_strong", "unimatch", "sss"]


class Data(Section):
    """Which scans, whose labels, and how a slice is cut from a scan."""

    name: str
    """Folder under ``data/``."""
    labelled: int | None = Field(ge=1)
    """How many training patients, in label order, lend their labels to training; null means all of them."""
    spacing_mm: float = Field(gt=0)
    """In-plane spacing that every slice is resampled to."""
    size: int = Field(ge=32, multiple_of=32)
    """Slice side in pixels; the field of view is ``size * spacing_mm``, centred."""
    neighbours: bool
    """Whether the encoder's three channels are the slice before, the slice and the slice after."""
    clip_percentiles: tuple[float, float]
    """Intensities outside these percentiles of a volume are clipped before it is standardised."""
    window: tuple[float, float] | None
    """For CT: the Hounsfield units that are seen, such as [0, 80] for a brain. They are then scaled by these limits
    alone, the same for every scan, and ``clip_percentiles`` means nothing. Null for MRI, whose units mean nothing."""
    colour: bool
    """Whether the encoder's three channels are the red, green and blue of a PNG; grey pictures fill all three."""

    @model_validator(mode="after")
    def _ordered(self) -> Data:
        low, high = self.clip_percentiles
        if not 0 <= low < high <= 100:
            raise ValueError("clip_percentiles must lie in 0 to 100, the low one first")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError("window must be the lowest and the highest value that is seen, in this order")
        if self.colour and self.neighbours:
            raise ValueError("colour and neighbours both ask for the three channels; expected one of them")
        return self

    @property
    def canvas(self) -> int:
        """Side in pixels that slices are cached at: a quarter more than is seen, room for the weak view to move in."""
        return self.size * 5 // 4


class Model(Section):
    """The network: SAM-2's image encoder and our feature decoder, or, for comparison, UniMatch's U-Net."""

    network: Network
    """``sam2``, or ``unet``, to which the other keys of this section mean nothing."""
    encoder: Encoder
    version: Literal["2.0", "2.1"]
    """Which release of SAM-2 the encoder's configuration comes from (no difference for ``micro``)."""
    checkpoint: str | None
    """SAM-2's weights to start from, or null for random ones: a name (``small``, of that version, or
    ``sam2.1_hiera_small``), ``s3://bucket/key`` or a file; sss_model alone takes a file. A file called as one of Meta's
    must be that one, byte for byte. Change the name with the content: no cache looks into the file."""
    freeze_encoder: bool
    freeze_decoder: bool = False
    """Whether the feature decoder keeps the weights of ``train.init_from``, which then must name some: SAM-2's
    checkpoints have none for it."""
    decoder_channels: int = Field(ge=8, multiple_of=8)
    context: bool
    """Whether the feature decoder is told what a slice shows as a whole and where in its volume it lies."""
    proportions: bool
    """Whether it is also told what the volume is made of: each structure's share of the foreground, as a first look
    finds it. Needs ``context`` and ``train.proportions_at``."""


class Train(Section):
    """How it learns. Exactly one of ``steps`` and ``minutes`` is the budget."""

    method: Method
    init_from: str | None = None
    """A trained model to go on from, or null: ``models:/NAME@champion`` or ``models:/NAME/VERSION`` in MLflow, or a
    checkpoint's folder; sss_model alone takes a folder. Its weights go over those of ``model.checkpoint``, and whom it
    saw counts as seen. No cache looks behind an alias: name a version, and change it with what you mean."""
    steps: int | None = Field(ge=1)
    minutes: float | None = Field(gt=0)
    batch: int = Field(ge=2, multiple_of=2)
    """Labelled slices a step."""
    unlabelled_batch: int = Field(ge=2, multiple_of=2)
    """Unlabelled slices a step; each is seen weakly once and strongly twice."""
    lr: float = Field(gt=0)
    """Peak learning rate of everything but the encoder."""
    encoder_lr: float = Field(gt=0)
    """Peak learning rate of the encoder: a transformer bears less than convolutions, pretrained weights less still."""
    weight_decay: float = Field(ge=0)
    warmup: float = Fraction
    """Share of the budget over which the learning rate rises."""
    ema_decay: float = Field(ge=0, lt=1)
    confidence: float = Fraction
    """A pseudo-label counts where the teacher's probability reaches this."""
    unlabelled_from: float = Fraction
    """Share of the budget that learns from labelled slices alone: steps are cheap, and the teacher gets a start."""
    unlabelled_weight: float = Field(ge=0)
    ramp: float = Fraction
    """Share of the budget over which the unlabelled loss then rises to its weight."""
    orientation_from: float = Fraction
    """Share of the budget from which unlabelled scans are turned as in ``predict.orientations``; 1: never."""
    proportions_at: list[Annotated[float, Fraction]]
    """Shares of the budget at which the teacher looks at the unlabelled scans' proportions, for ``model.proportions``;
    before the first nothing is told of them."""
    precision: Literal["auto", "32-true", "bf16-mixed"]
    """``auto`` is bf16-mixed on hardware that computes in bfloat16, 32-true elsewhere."""
    micro_batch: int | None = Field(ge=1)
    """How many slices pass through the network at once, null for a step's whole batch. Fewer need less memory and
    learn the same, for one more forward pass a step."""
    gradient_checkpointing: bool
    """Whether the encoder's blocks compute activations again in the backward pass: less memory for more time."""
    val_every: int = Field(ge=1)
    """Steps between validations; the best one's weights are kept."""
    save_minutes: float = Field(gt=0)
    """Minutes between checkpoints that a killed run resumes from."""

    @model_validator(mode="after")
    def _one_budget(self) -> Train:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("exactly one of steps and minutes must be set, the other null")
        return self


class Predict(Section):
    orientations: int = Field(ge=1)
    """How many in-plane turns of a scan, evenly over the circle, are tried for the one in which the network is surest:
    for scans whose orientation nobody knows. 1 takes them as they lie."""
    flips: bool
    """Whether predictions are averaged over the four in-plane flips."""
    rotations: list[float] = Field(default_factory=list)
    """Degrees: predictions are averaged over rotations by each of these, both ways, too."""
    largest_component: bool
    """Whether each class is one piece: of its components in a volume the largest is kept, the others become background.
    For organs, not for lesions."""
    batch: int = Field(ge=1)


class Evaluation(Section):
    """What an evaluation measures beside overlaps and distances."""

    tolerance_mm: float = Field(default=2.0, ge=0)
    """Surface voxels this near to the other surface agree: the normalised surface Dice counts them."""
    band_mm: float = Field(default=10.0, gt=0)
    """Calibration is measured in voxels within this distance of a structure, in the label or in the mask."""
    ejection_class: str | None = None
    """The cavity whose ejection fraction is reported for patients with several frames; null for other organs."""

    def cavity(self, labels: Collection[str]) -> str | None:
        """`ejection_class` where it is one of the data's classes; a recipe may serve several data sets."""
        return self.ejection_class if self.ejection_class in labels else None


class Config(Section):
    """A whole recipe."""

    seed: int = Field(ge=0)
    data: Data
    model: Model
    views: Views
    train: Train
    unimatch: UniMatch
    sss: Sss
    pcsw: Pcsw
    predict: Predict
    data_checks: DataChecks
    evaluation: Evaluation
    register_as: Register = Field(alias="register")
    promotion: Promotion

    @property
    def confidence(self) -> float:
        """From which probability on the method's pseudo-labels count."""
        return self.unimatch.confidence if self.train.method == "unimatch" else self.train.confidence

    def memory_learns_alone(self, progress: float) -> bool:
        """Whether the step after the share `progress` of the budget is one of the memory decoder's own."""
        return self.train.method == "sss" and self.sss.memory_learns_alone(progress)

    @property
    def volume_checks(self) -> list[float]:
        """When the method judges the whole volumes that it learns from: ``pcsw.volume_checks`` where it does at all."""
        return self.pcsw.volume_checks if self.train.method == "sss" and self.pcsw.enabled else []

    @model_validator(mode="after")
    def _network_can(self) -> Config:
        if self.model.network == "unet":
            if self.train.method == "sss":
                raise ValueError("method sss needs model.network sam2")
            if self.model.checkpoint is not None:
                raise ValueError("model.checkpoint holds SAM-2's weights and needs model.network sam2")
            if self.train.gradient_checkpointing:
                raise ValueError("train.gradient_checkpointing is SAM-2's encoder's and needs model.network sam2")
        return self

    @model_validator(mode="after")
    def _proportions_are_known(self) -> Config:
        if self.model.proportions and not (self.model.context and self.train.proportions_at):
            raise ValueError("model.proportions needs model.context and moments in train.proportions_at")
        return self

    @model_validator(mode="after")
    def _something_learns(self) -> Config:
        refuse_frozen(self)
        return self


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a recipe.

    Args:
        path: a YAML file shaped like ``params.yaml``.
        overrides: dotted keys and their values, ``{"train.method": "supervised"}``.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, missing or has a wrong value.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a recipe like params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(raw).__name__}")
    for key, value in (overrides or {}).items():
        _set(raw, key, value)
    return parse_config(raw, where=str(path))


def parse_config(raw: dict[str, Any], where: str) -> Config:
    """Check a recipe that is already a dictionary; `where` opens the error's sentence."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{where}: {_sentence(error)}") from None


def dump_config(config: Config) -> dict[str, Any]:
    """The recipe as plain YAML/JSON types; `parse_config` reads it back."""
    return config.model_dump(mode="json", by_alias=True)


def _set(raw: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
    raw[key] = value


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "recipe"
    known = {"extra_forbidden": f"unknown key {key}", "missing": f"missing key {key}"}
    # What a check of a whole section is given is the section; its message says what is wrong in there.
    found = "" if isinstance(first["input"], dict | Section) else f", found {first['input']!r}"
    message = known.get(first["type"], f"{key}: {first['msg'].removeprefix('Value error, ')}{found}")
    more = error.error_count() - 1
    return message + (f" (and {more} more)" if more else "")
