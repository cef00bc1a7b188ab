"""The recipe: every section and key with its default, unit, bounds and meaning, and the checks between them.

A recipe is a YAML file that states only what differs from these defaults; `sss config show` prints a whole one.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sss_model.errors import InputError

Encoder = Literal["micro", "tiny", "small", "base_plus", "large"]
Network = Literal["sam2", "unet"]
Method = Literal["supervised", "weak_to_strong", "unimatch", "sss"]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of a recipe: typed, frozen, and without unknown keys.

    The docstring below an attribute is the key's meaning, which `sss config show` prints.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


def key(default: Any, unit: str = "", **bounds: Any) -> Any:
    """A recipe's key.

    Args:
        default: its value where a recipe does not state it.
        unit: of the value; empty for switches, names and counts.
        bounds: pydantic's ``ge``, ``gt``, ``le``, ``lt`` and ``multiple_of``.
    """
    return Field(default, json_schema_extra={"unit": unit}, **bounds)


class Data(Section):
    """The data set, the labels in use, and how slices are cut from a scan."""

    name: str = key("phantom")
    """Data set: a folder under ``data/``."""
    labelled: int | None = key(None, "patients", ge=1)
    """Training patients whose labels are used, the first ones in label order; null for all."""
    spacing_mm: float = key(1.5, "mm", gt=0)
    """In-plane pixel spacing that every slice is resampled to."""
    size: int = key(256, "pixels", ge=32, multiple_of=32)
    """Side of a slice; the field of view is ``size * spacing_mm``, centred on the scan."""
    neighbours: bool = key(True)
    """Whether the encoder's three channels are the slice before, the slice itself and the slice after."""
    colour: bool = key(False)
    """Whether the encoder's three channels are the red, green and blue of a PNG; a grey image fills all three."""
    clip_percentiles: tuple[float, float] = key((0.5, 99.5), "percentiles")
    """Intensities of a volume are clipped at these percentiles and then standardised, unless ``window`` is set."""
    window: tuple[float, float] | None = key(None, "HU")
    """For CT: lowest and highest intensity, such as [0, 80] for the brain; every scan is clipped and scaled by these
    alone. Null for MRI, whose intensities have no unit."""

    @model_validator(mode="after")
    def _consistent(self) -> Data:
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
        """Side in pixels of cached slices: a quarter more than `size`, the margin that weak views move in."""
        return self.size * 5 // 4


class Model(Section):
    """The network: SAM-2's image encoder with our feature decoder, or UniMatch's U-Net for comparison."""

    network: Network = key("sam2")
    """Architecture; the other keys of this section do not apply to ``unet``."""
    encoder: Encoder = key("micro")
    """Size of SAM-2's image encoder; ``micro`` is ours, small enough for CPUs, the others are Meta's."""
    version: Literal["2.0", "2.1"] = key("2.1")
    """SAM-2 release that the encoder's configuration comes from; no difference for ``micro``."""
    checkpoint: str | None = key(None)
    """SAM-2 weights to start from: a name (``small``, or ``sam2.1_hiera_small``), ``s3://bucket/key`` or a file; null
    for random weights. A file named like one of Meta's must equal it byte for byte. Caches go by the name: change it
    when the content changes. `sss_model` by itself takes files only."""
    freeze_encoder: bool = key(False)
    """Whether the encoder keeps its weights."""
    freeze_decoder: bool = key(False)
    """Whether the feature decoder keeps the weights of ``train.init_from``; SAM-2's checkpoints have none for it."""
    decoder_channels: int = key(16, "channels", ge=8, multiple_of=8)
    """Width of the feature decoder."""
    context: bool = key(False)
    """Whether the feature decoder is conditioned on the whole slice's features and on the slice's position in its
    volume."""
    proportions: bool = key(False)
    """Whether it is also conditioned on each structure's share of the volume's foreground, from a first prediction.
    Needs ``context`` and ``train.proportions_at``."""


class Views(Section):
    """Augmentation: the weak view moves a slice, the strong views change the weak one's intensities and mix slices."""

    rotation_degrees: float = key(30.0, "degrees", ge=0, le=180)
    """Weak view: largest in-plane rotation, either way."""
    scale: float = key(0.2, ge=0, lt=1)
    """Weak view: zoom, drawn from ``1 - scale`` to ``1 / (1 - scale)``."""
    shift: Share = key(0.1, "share of the field of view")
    """Weak view: largest translation, either way."""
    flips: bool = key(False)
    """Weak view: whether both in-plane axes are flipped at random."""
    local_zoom: float = key(0.0, ge=0, lt=1)
    """Weak view: how far a random spot is magnified or shrunk, the largest displacement relative to the distance from
    its centre."""
    contrast: float = key(0.4, ge=0, lt=1)
    """Strong view: contrast factor, drawn from ``1 - contrast`` to ``1 / (1 - contrast)``."""
    brightness: float = key(0.4, "standard deviations of the volume", ge=0)
    """Strong view: largest offset of the intensities, either way."""
    gamma: float = key(0.4, ge=0, lt=1)
    """Strong view: exponent of the intensities, drawn from ``1 - gamma`` to ``1 / (1 - gamma)``."""
    noise: float = key(0.2, "standard deviations of the volume", ge=0)
    """Strong view: largest standard deviation of the added Gaussian noise."""
    cutmix: Share = key(0.8)
    """Strong view: probability that a box is pasted from another slice (CutMix)."""
    cutmix_labelled: Share = key(0.5)
    """Strong view: probability that this slice is a labelled one, pasted with its label, not an unlabelled one."""


class Train(Section):
    """The training; exactly one of ``steps`` and ``minutes`` is its budget."""

    method: Method = key("weak_to_strong")
    """Training method; ``docs/explanation/method.md`` describes them."""
    init_from: str | None = key(None)
    """Trained model to fine-tune: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` in MLflow, or a checkpoint folder;
    null for none. Its weights replace those of ``model.checkpoint``, and its training patients count as seen. Caches go
    by this name, not by what an alias points to: name a version. `sss_model` by itself takes folders only."""
    steps: int | None = key(None, "steps", ge=1)
    """Budget in optimiser steps; null if ``minutes`` is set."""
    minutes: float | None = key(None, "minutes", gt=0)
    """Budget in minutes of work, pauses excluded; null if ``steps`` is set."""
    batch: int = key(4, "slices per step", ge=2, multiple_of=2)
    """Labelled batch size."""
    unlabelled_batch: int = key(4, "slices per step", ge=2, multiple_of=2)
    """Unlabelled batch size; each slice has one weak and two strong views."""
    lr: float = key(0.004, gt=0)
    """Peak learning rate of all but the encoder."""
    encoder_lr: float = key(0.0005, gt=0)
    """Peak learning rate of the encoder; pretrained weights need a smaller one."""
    weight_decay: float = key(0.01, ge=0)
    """AdamW's weight decay."""
    warmup: Share = key(0.03, "share of the budget")
    """Linear rise of the learning rate; a cosine to zero follows."""
    ema_decay: float = key(0.99, ge=0, lt=1)
    """Decay per step of the teacher, an exponential moving average of the student."""
    confidence: Share = key(0.9)
    """Teacher probability from which a pseudo-label counts."""
    unlabelled_from: Share = key(0.1, "share of the budget")
    """Start of the unlabelled loss; before it, training is supervised."""
    unlabelled_weight: float = key(1.0, ge=0)
    """Weight of the unlabelled loss after its ramp."""
    ramp: Share = key(0.1, "share of the budget")
    """Length of the ramp over which the unlabelled loss reaches its weight."""
    orientation_from: Share = key(1.0, "share of the budget")
    """When unlabelled scans are rotated to the orientation that the teacher finds best among ``predict.orientations``;
    1 for never."""
    proportions_at: list[Share] = key([], "share of the budget")
    """When the teacher estimates the unlabelled scans' proportions for ``model.proportions``; before the first time the
    network is not conditioned on them."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = key("auto")
    """Numerical precision; ``auto`` is bf16-mixed on hardware that computes in bfloat16, 32-true elsewhere."""
    micro_batch: int | None = key(None, "slices", ge=1)
    """Slices that pass through the network at once, null for the whole batch; fewer take less memory and one more
    forward pass per step, and the gradient is the same."""
    gradient_checkpointing: bool = key(False)
    """Whether the encoder recomputes activations in the backward pass: less memory, more time."""
    val_every: int = key(500, "steps", ge=1)
    """Interval between validations; the weights with the best Dice on validation patients are kept."""
    save_minutes: float = key(2.0, "minutes", gt=0)
    """Interval between saved states, from which a killed training resumes."""

    @model_validator(mode="after")
    def _one_budget(self) -> Train:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("exactly one of steps and minutes must be set, the other null")
        return self


class UniMatch(Section):
    """Method ``unimatch``: what it has of its own, with its authors' values."""

    confidence: Share = key(0.95)
    """Replaces ``train.confidence``."""
    feature_dropout: float = key(0.5, "share of the channels", ge=0, lt=1)
    """Channels dropped from the features of the perturbed view."""


class Sss(Section):
    """Method ``sss``: what it adds to ``weak_to_strong``, each mechanism with its switch; PCSW has its own section."""

    clip: int = key(4, "slices", ge=1)
    """Length of a clip of neighbouring slices; steps with clips round batches up to whole clips."""
    clip_every: int | None = key(4, "steps", ge=1)
    """Interval between steps with clips, in which PCSW and the memory decoder take part; the other steps have single
    slices of many volumes. Null: only the steps of ``memory_alone`` have clips."""
    enhancement: bool = key(True)
    """Whether features pass through dual feature enhancement (DFE)."""
    pair: Share = key(0.5)
    """Probability that DFE pairs a strong view with the weak view; otherwise, and in inference, with itself."""
    channel_dropout: Share = key(0.5)
    """Probability that complementary channels of the two strong views' features are dropped."""
    memory: bool = key(True)
    """Whether the memory decoder's masks are added to the feature decoder's."""
    memory_alone: Share = key(0.0, "share of the budget")
    """Last part of the training, in which only the memory decoder learns, from labelled clips, with a learning-rate
    schedule of its own. 0: it learns together with the rest, in the steps with clips."""
    memory_shapes_features: bool = key(False)
    """Whether the memory decoder's loss reaches the encoder."""
    bank: int = key(16, "memories", ge=1)
    """Capacity of a class's memory bank for a volume."""
    reads: int = key(4, "memories", ge=1)
    """Memories that a slice attends to."""
    jitter: Share = key(0.1, "share of the box")
    """Largest displacement of prompts made from labels; mimics the error of PCSW's."""
    mask_weight: float = key(1.0, ge=0)
    """Weight of the labelled loss on the memory decoder's masks alone."""
    iou_weight: float = key(0.1, ge=0)
    """Weight of the loss on the predicted IoU, by which the bank ranks memories."""

    @property
    def memory_from(self) -> float:
        """Training progress from which the memory decoder learns alone; 1 if it never does."""
        return 1 - self.memory_alone if self.memory else 1.0

    def memory_learns_alone(self, progress: float) -> bool:
        """Whether only the memory decoder learns at training progress `progress` (0 to 1).

        >>> [Sss(memory_alone=0.1).memory_learns_alone(progress) for progress in (0.5, 0.9)]
        [False, True]
        """
        return self.memory_from < 1 and progress >= self.memory_from

    def sees_clips(self, step: int, progress: float) -> bool:
        """Whether a step has clips, so that PCSW takes part in it."""
        return self.memory_learns_alone(progress) or (self.clip_every is not None and step % self.clip_every == 0)

    def trains_memory(self, step: int, progress: float) -> bool:
        """Whether the memory decoder takes part in a step."""
        return self.memory_learns_alone(progress) if self.memory_from < 1 else self.sees_clips(step, progress)

    def clip_length(self, step: int, progress: float) -> int:
        """Number of neighbouring slices in a row in a step's batch; 1 for single slices.

        >>> [Sss(clip=4, clip_every=10).clip_length(step, 0.5) for step in (9, 10)]
        [1, 4]
        """
        return self.clip if self.sees_clips(step, progress) else 1

    @model_validator(mode="after")
    def _memory_learns(self) -> Sss:
        if self.memory and self.clip_every is None and not self.memory_alone:
            raise ValueError("no step sees clips, which memory needs; expected clip_every or memory_alone")
        return self


class Pcsw(Section):
    """PCSW: when a predicted component may prompt and supervise. The idea is the paper's, the values are ours."""

    enabled: bool = key(True)
    """Whether components are judged; otherwise every one prompts and supervises."""
    warmup: Share = key(0.1, "share of the budget")
    """Start of the training in which predictions neither prompt nor are judged."""
    volume_checks: list[Share] = key([], "share of the budget")
    """When the teacher segments all unlabelled scans and PCSW judges the whole volumes; what it rejects is ignored from
    then on. Takes one byte of memory per pixel."""
    window: int = key(3, "slices", ge=1)
    """N: length of the sliding window, which advances by one slice; 1 disables the comparison between slices."""
    min_area_mm2: float = key(10.0, "mm²", ge=0)
    """Smaller components are rejected without further checks."""
    min_overlap: float = key(0.1, "share of the smaller box", gt=0, le=1)
    """Link between slices: smallest overlap of two components' bounding boxes."""
    max_area_ratio: float = key(8.0, ge=1)
    """Link between slices: largest ratio of the larger area to the smaller one."""
    max_shift: float = key(2.0, "mm per mm", gt=0)
    """Link between slices: largest distance of the centroids per distance of the slices."""
    min_confidence: Share = key(0.6)
    """Smallest mean probability of a chain of linked components."""
    thin: bool = key(False)
    """Whether a structure may be thinner than the window, like a haemorrhage: shorter chains are then judged by the
    next two keys. 2-D data and chains cut off at the end of a clip always are."""
    thin_confidence: Share = key(0.8)
    """Smallest mean probability of a short chain."""
    thin_area_mm2: float = key(25.0, "mm²", ge=0)
    """Smallest area of a short chain's largest component."""
    margin_mm: float = key(2.0, "mm", ge=0)
    """Margin of a box prompt around its component."""
    max_components: int = key(4, "per slice and class", ge=1)
    """Largest number of components that prompt, by area; the others only supervise."""


class Predict(Section):
    """Prediction: test-time averaging and post-processing."""

    orientations: int = key(1, ge=1)
    """In-plane orientations, evenly spaced over the circle, of which the most confident one is used, for scans of
    unknown orientation; 1 takes scans as they are."""
    flips: bool = key(False)
    """Whether predictions are averaged over the four in-plane flips."""
    rotations: list[float] = key([], "degrees")
    """Predictions are also averaged over rotations by each of these angles, both ways."""
    largest_component: bool = key(False)
    """Whether only the largest component of each class is kept in a volume; for organs, not for lesions."""
    batch: int = key(32, "slices", ge=1)
    """Batch size; changes memory and time, not the result."""


class DataChecks(Section):
    """Thresholds of the data checks; null disables a check. ``docs/reference/data-checks.md`` lists the checks and says
    how the values were chosen."""

    min_labelled_patients: int = key(3, "patients", ge=1)
    """Smallest number of labelled training patients."""
    min_test_patients: int = key(10, "patients", ge=1)
    """Smallest number of test patients."""
    same_person: tuple[tuple[str, ...], ...] = key(())
    """Patients known to be one person under several names, such as ``[[patient074, patient076]]``; they may look alike
    and must be in one split."""
    max_similarity: float = key(0.75, "correlation", gt=0, le=1)
    """Correlation of two scans' thumbnails from which they count as the same scan."""
    deviations: float = key(6.0, "robust standard deviations", gt=0)
    """Distance from the cohort's median, on a logarithmic scale, beyond which a value is an outlier; in any case, it
    has to differ by the value's own factor below."""
    spacing_factor: float = key(4.0, gt=1)
    """Outliers: smallest ratio to the cohort's median voxel size."""
    slices_factor: float = key(4.0, gt=1)
    """Outliers: smallest ratio to the cohort's median number of slices."""
    contrast_factor: float = key(8.0, gt=1)
    """Outliers: smallest ratio to the cohort's median intensity range."""
    volume_factor: float = key(12.0, gt=1)
    """Outliers: smallest ratio to the cohort's median volume of a structure."""
    max_level_shift: float | None = key(0.5, "share of the median intensity range", gt=0)
    """Largest difference of a scan's darkest intensity from the cohort's median."""
    max_flat_share: float = key(0.9, "share of the voxels", gt=0, le=1)
    """Largest share of a scan that may have one and the same value."""
    max_blank_slices: int | None = key(0, "slices", ge=0)
    """Largest number of a scan's slices without any content."""
    max_dark_share: float = key(0.1, "share of the labelled voxels", gt=0, le=1)
    """Largest share of labelled voxels that have the scan's lowest value."""
    min_fit: float | None = key(0.8, gt=0, le=1)
    """Smallest ratio of how well a label map explains its scan to how well it does shifted by some pixels."""
    max_gap_mm: float | None = key(20.0, "mm", ge=0)
    """Largest distance from a structure's largest component to its farthest one; null if a class may be in several
    places."""
    empty_labels: bool = key(False)
    """Whether a label map may be empty, as for a patient without the disease."""

    @field_validator("same_person")
    @classmethod
    def _two_or_more(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        names = [name for group in groups for name in group]
        if any(len(group) < 2 for group in groups) or len(set(names)) < len(names):
            raise ValueError("each entry must name two or more patients, and each patient once")
        return groups


class Evaluation(Section):
    """What an evaluation measures beside overlaps and distances."""

    tolerance_mm: float = key(2.0, "mm", ge=0)
    """Tolerance of the normalised surface Dice."""
    band_mm: float = key(10.0, "mm", gt=0)
    """Calibration is measured in voxels within this distance of a structure, in the label or in the mask."""
    ejection_class: str | None = key(None)
    """Class whose ejection fraction is reported for patients with several frames: the heart's cavity; null for other
    organs."""

    def cavity(self, labels: Collection[str]) -> str | None:
        """`ejection_class` if it is one of the data's classes, else None; a recipe may serve several data sets."""
        return self.ejection_class if self.ejection_class in labels else None


class Register(Section):
    """The MLflow registry: where a model is registered, and from which Dice on."""

    experiment: str = key("")
    """MLflow experiment; empty for the data set's name."""
    model: str = key("")
    """Registered model; empty for ``sss-`` and the data set's name."""
    min_dice: Share = key(0.0, "Dice")
    """Mean test Dice below which a model is not registered; 0 registers any."""


def registry_names(data: str) -> dict[str, str]:
    """Keys of section ``register`` that follow from the data set's name if a recipe does not state them."""
    return {"experiment": data, "model": f"sss-{data}"}


class Promotion(Section):
    """What a version must show to become the champion; `sss_model.evaluation.comparison` measures it."""

    min_patients: int = key(10, "patients", ge=2)
    """Smallest number of test patients that neither model saw."""
    min_dice: Share = key(0.0, "Dice")
    """Smallest mean Dice on them, over cases, then classes; holds with and without a champion."""
    margin: Share = key(0.02, "Dice")
    """Largest loss of a class against the champion: the whole interval of its difference must lie above minus this."""
    class_margins: dict[str, Share] = key({}, "Dice")
    """Margins of single classes, by name, in place of ``margin``."""
    confidence: float = key(0.95, gt=0.5, lt=1)
    """Confidence level of the differences' two-sided intervals."""
    resamples: int = key(10000, ge=1000)
    """Bootstrap resamples of the patients for these intervals."""


class Config(Section):
    """A whole recipe."""

    seed: int = key(0, ge=0)
    """Seed of all random draws: weights, batches, views, bootstrap."""
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
        """Probability from which the method's pseudo-labels count."""
        return self.unimatch.confidence if self.train.method == "unimatch" else self.train.confidence

    def memory_learns_alone(self, progress: float) -> bool:
        """Whether only the memory decoder learns at training progress `progress` (0 to 1)."""
        return self.train.method == "sss" and self.sss.memory_learns_alone(progress)

    @property
    def volume_checks(self) -> list[float]:
        """``pcsw.volume_checks`` if the method uses PCSW, else none."""
        return self.pcsw.volume_checks if self.train.method == "sss" and self.pcsw.enabled else []

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        """Add sections that a recipe leaves out or empty, and the registry's names, which follow from the data's."""
        if not isinstance(raw, dict):
            return raw
        filled = {**raw, **{name: {} for name in SECTIONS if raw.get(name) is None}}
        data, register = filled["data"], filled["register"]
        if isinstance(data, dict) and isinstance(register, dict):
            name = data.get("name", Data.model_fields["name"].default)
            filled["register"] = {
                **registry_names(name),
                **{name: value for name, value in register.items() if value != ""},
            }
        return filled

    @model_validator(mode="after")
    def _unet_has_no_parts_of_sam2(self) -> Config:
        if self.model.network == "unet":
            if self.train.method == "sss":
                raise ValueError("method sss needs model.network sam2")
            if self.model.checkpoint is not None:
                raise ValueError("model.checkpoint holds SAM-2's weights and needs model.network sam2")
            if self.train.gradient_checkpointing:
                raise ValueError("train.gradient_checkpointing is SAM-2's encoder's and needs model.network sam2")
            if self.model.freeze_decoder:
                raise ValueError("model.freeze_decoder means the feature decoder and needs model.network sam2")
        return self

    @model_validator(mode="after")
    def _proportions_are_known(self) -> Config:
        if self.model.proportions and not (self.model.context and self.train.proportions_at):
            raise ValueError("model.proportions needs model.context and moments in train.proportions_at")
        return self

    @model_validator(mode="after")
    def _frozen_parts_have_weights_and_something_learns(self) -> Config:
        if not self.model.freeze_decoder:
            return self
        if self.train.init_from is None:
            raise ValueError(
                "model.freeze_decoder has no weights to keep, SAM-2's checkpoints hold none of this decoder; expected "
                "train.init_from to name a trained model"
            )
        # Of the rest, only feature enhancement takes part in every step.
        if self.model.freeze_encoder and not (self.train.method == "sss" and self.sss.enhancement):
            raise ValueError(
                "model.freeze_encoder and model.freeze_decoder leave nothing to learn; expected one of them, or method "
                "sss with sss.enhancement"
            )
        return self


SECTIONS: dict[str, type[Section]] = {
    field.alias or name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
"""The recipe's sections by name, in order."""

NOT_TRAINED = ("data_checks", "evaluation", "register", "promotion")
"""Sections that training does not read."""


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a recipe.

    Args:
        path: a YAML file that states what differs from the defaults.
        overrides: dotted keys and their values, ``{"train.method": "supervised"}``.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown or has a wrong value.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a recipe like params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(raw).__name__}")
    for dotted, value in (overrides or {}).items():
        _set(raw, dotted, value)
    return parse_config(raw, where=str(path))


def parse_config(raw: dict[str, Any], where: str) -> Config:
    """Check a recipe that is already a dictionary; an error's sentence begins with `where`.

    >>> parse_config({"data": {"name": "acdc"}, "train": {"steps": 100}}, where="example").register_as.model
    'sss-acdc'
    >>> parse_config({"train": {"steps": 100, "learning_rat": 0.1}}, where="example")
    Traceback (most recent call last):
    sss_model.errors.InputError: example: unknown key train.learning_rat; did you mean train.lr?
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{where}: {_sentence(error)}") from None


def dump_config(config: Config) -> dict[str, Any]:
    """The whole recipe as plain YAML/JSON types; `parse_config` reads it back."""
    return config.model_dump(mode="json", by_alias=True)


def _set(raw: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, name = dotted.split(".")
    for section in sections:
        if raw.get(section) is None:
            raw[section] = {}
        raw = raw[section]
        if not isinstance(raw, dict):
            return  # the check refuses this section, whatever is in it
    raw[name] = value


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    dotted = ".".join(str(part) for part in first["loc"]) or "recipe"
    if first["type"] == "extra_forbidden":
        message = f"unknown key {dotted}{_suggestion(dotted, first['input'])}"
    else:
        # The input of a check of a whole section is the section; the message says what is wrong in it.
        found = "" if isinstance(first["input"], dict | Section) else f", found {first['input']!r}"
        message = f"{dotted}: {first['msg'].removeprefix('Value error, ')}{found}"
    more = error.error_count() - 1
    return message + (f" (and {more} more)" if more else "")


def _suggestion(unknown: str, value: Any) -> str:
    """The known key or section that an unknown one probably means, as the end of a sentence."""
    section, _, name = unknown.rpartition(".")
    if isinstance(value, dict) and not section:
        known = _closest_section(name, set(value))
    else:
        keys = {"seed": "seed"} | {
            key: f"{other}.{key}" for other, model in SECTIONS.items() for key in model.model_fields
        }
        if section in SECTIONS:  # its own keys win where another section has one of the same name
            keys |= {key: f"{section}.{key}" for key in SECTIONS[section].model_fields}
        initials = "".join(word[:1] for word in name.split("_"))
        close = [key for key in (name, initials) if key in keys] or difflib.get_close_matches(name, keys, n=1)
        known = keys[close[0]] if close else None
    return f"; did you mean {known}?" if known else "; `sss config show` lists all keys"


def _closest_section(unknown: str, keys: set[Any]) -> str | None:
    """The section that has most of the keys, or else one of a similar name."""
    shared = {name: len(keys & model.model_fields.keys()) for name, model in SECTIONS.items()}
    best = max(shared, key=lambda name: shared[name])
    if shared[best]:
        return best
    return next(iter(difflib.get_close_matches(unknown, SECTIONS, n=1)), None)
