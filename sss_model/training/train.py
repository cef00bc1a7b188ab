"""Training: from a recipe and its scans to a checkpoint.

`train` reads from top to bottom; the functions that it calls stand below it. A run is a function of its recipe and its
data. It saves its state every few minutes, so that a killed run continues where it was and, under a budget of steps,
ends with the same weights as one that was never killed. Scans of test patients are not opened.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor

from sss_model.checkpoint import Checkpoint, Images, Meta, Patients, git_revision, image_digest, save_checkpoint
from sss_model.config import Config, Train
from sss_model.data.manifest import Case, Cohort, Manifest, cohort
from sss_model.data.slices import SliceCache, SliceSet
from sss_model.device import device_name, make_fabric, resolve_precision
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.inference.drift import fingerprint, measure_cached
from sss_model.inference.predictor import Predictor
from sss_model.inference.volume_context import labelled_proportions
from sss_model.network import Network, build_network
from sss_model.network.segmenter import SamNetwork
from sss_model.pcsw import AcceptanceWatch, watch_acceptance
from sss_model.progress import ProgressBar
from sss_model.training.batches import Batches
from sss_model.training.fine_tuning import Parent, inherit_weights, refuse_seen
from sss_model.training.learner import Learner
from sss_model.training.quality_calibration import calibrate
from sss_model.training.resume import WorkState
from sss_model.training.schedule import Budget
from sss_model.training.teacher_findings import update_findings
from sss_model.training.validation import Validation, validate

OnMetrics = Callable[[int, dict[str, float]], None]
OnSave = Callable[[Path], None]

_LOG_EVERY = 10  # steps, from the first one on, so that steps with clips are among them, however rare
_PATIENCE = 20  # logged steps with a class before its acceptance by PCSW can raise a warning


@dataclass(frozen=True)
class _Sources:
    """Where a training comes from, as its checkpoint records it."""

    patients: Cohort
    labels: dict[str, int]
    data_version: str
    manifest_sha256: str
    pretrained_sha256: str | None
    parent: Parent | None


@dataclass(frozen=True)
class _TrainingSlices:
    labelled: SliceSet
    unlabelled: SliceSet
    validation: SliceSet


def train(
    config: Config,
    *,
    data_dir: Path,
    manifest: Manifest,
    output: Path,
    work_dir: Path,
    cache_dir: Path,
    data_version: str,
    manifest_sha256: str,
    pretrained: Path | None = None,
    parent: Parent | None = None,
    on_metrics: OnMetrics = lambda step, metrics: None,
    on_save: OnSave = lambda folder: None,
) -> None:
    """Train, validate and write a checkpoint.

    Args:
        data_dir: the data set's folder, which the manifest's paths are relative to.
        output: the checkpoint's folder; it appears whole, at the end.
        work_dir: where this run, and no other, keeps its state; removed at the end.
        cache_dir: where preprocessed slices are kept, for every run.
        data_version, manifest_sha256: written into the checkpoint.
        pretrained: the file with the weights that the recipe names; None where the recipe's name is the file's path.
        parent: the trained model that the recipe names; None where the recipe's name is a checkpoint's folder.
        on_metrics: called with (step, scalars) as they are logged; when a killed training is resumed, first with all
            that it had logged, since the killed process may not have passed it on.
        on_save: called with `work_dir` each time the state has been saved there.

    Raises:
        InputError: the data are too few for the recipe, or other files than the manifest names, a pretrained checkpoint
            or the parent does not fit, the parent learned from validation patients, the budget is gone before the first
            step, or the loss is NaN or infinite; the state that was saved before stays.
        SystemExit: 143 after SIGTERM, once the state is saved.
    """
    started = time.monotonic()
    fabric = make_fabric(config.train.precision, unused_parameters=config.train.method == "sss")
    patients, labels = cohort(manifest, config.data.labelled), manifest.labels
    pretrained = pretrained or (Path(config.model.checkpoint) if config.model.checkpoint else None)
    parent = parent or _read_parent(config.train.init_from)
    # Before the scans are read, which takes longer: the weights may not fit.
    network, notes = _network(config, manifest, pretrained=pretrained, parent=parent)
    pretrained_sha256 = sha256(pretrained) if pretrained else None
    sources = _Sources(patients, labels, data_version, manifest_sha256, pretrained_sha256, parent)
    slices = _training_slices(config, sources, data_dir, cache_dir)
    batches = _batches(config, slices, labels, fabric)
    classes = sorted(labels, key=labels.__getitem__)[1:]
    learner = Learner(network, config, classes, fabric)
    state = WorkState.resume(work_dir, learner, started=started)
    _replay(state.history, on_metrics)
    budget = Budget.of(config.train, prepared=_agree(fabric, state.prepared, False)[0])
    watch = AcceptanceWatch(tuple(classes), patience=_PATIENCE)

    with _sigterm() as terminated, _progress_bar(config, fabric) as bar:
        _warn_all(bar, notes if fabric.is_global_zero else ())
        while True:
            seconds, stop = _agree(fabric, state.seconds, terminated())
            if stop:
                _save(fabric, state, learner, config, on_save)
                raise SystemExit(143)
            progress = budget.progress(step=state.step, seconds=seconds)
            # Before the memory decoder learns alone, all the rest is validated without it, as the one to beat.
            memory_begins = state.memory_begins(config.memory_learns_alone(progress))
            due = progress >= 1 or memory_begins or state.step % config.train.val_every == 0
            if fabric.is_global_zero and state.step and due:
                check_weights(learner.weights, step=state.step, settings=config.train)
                scores = validate(
                    learner.segment,
                    learner.predict_slices,
                    slices.validation,
                    config=config,
                    labels=labels,
                    device=fabric.device,
                )
                state.keep_if_best(scores, learner.teacher_weights())
                _log(state, _validation_row(scores), on_metrics)
            if progress >= 1:
                break
            state.findings = update_findings(
                state.findings,
                progress=progress,
                predict_slices=learner.predict_slices,
                slices=slices.unlabelled,
                config=config,
                device=fabric.device,
            )
            batches.findings = state.findings
            scalars = learner.step(batches, step=state.step, progress=progress)
            state.step += 1
            if (state.step - 1) % _LOG_EVERY == 0:
                row = finite_scalars(scalars, step=state.step, settings=config.train)
                watch, warnings = watch_acceptance(watch, _acceptance(row, classes))
                _warn_all(bar, warnings)
                _log(state, {**row, "lr": learner.lr}, on_metrics)
                bar.show(progress, total=1.0, note=_note(state, loss=row["loss"]))
            if state.save_due(60 * config.train.save_minutes):
                _save(fabric, state, learner, config, on_save)

    if fabric.is_global_zero:
        _write_checkpoint(output, config, sources, slices, state, fabric, data_dir=data_dir)
        state.discard()
    fabric.barrier()


# Before the first step.


def _read_parent(folder: str | None) -> Parent | None:
    return Parent.read(Path(folder), folder) if folder else None


def _network(
    config: Config, manifest: Manifest, *, pretrained: Path | None, parent: Parent | None
) -> tuple[Network, list[str]]:
    """The network to train, and warnings about the weights that it starts from."""
    network = build_network(config, classes=len(manifest.labels), pretrained=pretrained)
    notes = []
    if parent is not None:
        notes = [*refuse_seen(parent, manifest), *inherit_weights(network, parent, config, manifest.labels)]
    if config.train.gradient_checkpointing and isinstance(network, SamNetwork):
        network.encoder.recompute_activations()
    return network, notes


def _training_slices(config: Config, sources: _Sources, data_dir: Path, cache_dir: Path) -> _TrainingSlices:
    cache = SliceCache(cache_dir, data_dir=data_dir, config=config.data, classes=len(sources.labels))

    def slices_of(cases: tuple[Case, ...], *, with_labels: bool = True) -> SliceSet:
        labels = cache.labels(cases) if with_labels else None
        return SliceSet(cache.images(cases), labels, config.data.neighbours, [case.slice_distance_mm for case in cases])

    patients = sources.patients
    return _TrainingSlices(
        slices_of(patients.labelled), slices_of(patients.unlabelled, with_labels=False), slices_of(patients.val)
    )


def _batches(config: Config, slices: _TrainingSlices, labels: dict[str, int], fabric: Fabric) -> Batches:
    known = labelled_proportions(slices.labelled, len(labels)) if config.model.proportions else None
    return Batches(config, labelled=slices.labelled, unlabelled=slices.unlabelled, fabric=fabric, proportions=known)


def _replay(history: list[dict[str, float]], on_metrics: OnMetrics) -> None:
    for row in history:
        on_metrics(int(row["step"]), {name: value for name, value in row.items() if name != "step"})


# In the loop.


def _agree(fabric: Fabric, seconds: float, stop: bool) -> tuple[float, bool]:
    # All processes must take the same branch: the first one's clock and signal count for all.
    if fabric.world_size == 1:
        return seconds, stop
    agreed: tuple[float, bool] = fabric.broadcast((seconds, stop))
    return agreed


@contextmanager
def _sigterm() -> Iterator[Callable[[], bool]]:
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _save(fabric: Fabric, state: WorkState, learner: Learner, config: Config, on_save: OnSave) -> None:
    if fabric.is_global_zero:
        # Broken weights must not replace a state that can be resumed.
        check_weights(learner.weights, step=state.step, settings=config.train)
        state.save(learner)
        on_save(state.folder)


def finite_scalars(scalars: Mapping[str, Tensor], *, step: int, settings: Train) -> dict[str, float]:
    """A step's scalars as numbers, without those that are NaN because a class was not seen.

    Raises:
        InputError: the loss is NaN or infinite.
    """
    numbers = {name: float(value) for name, value in scalars.items()}
    if not math.isfinite(numbers["loss"]):
        raise _diverged(f"the loss is {numbers['loss']}", step, settings)
    return {name: number for name, number in numbers.items() if not math.isnan(number)}


def check_weights(weights: Iterable[Tensor], *, step: int, settings: Train) -> None:
    """Raise `InputError` where a weight is NaN or infinite; the loss of the step that broke it may not be logged."""
    if not torch.stack([tensor.isfinite().all() for tensor in weights]).all():
        raise _diverged("weights are NaN or infinite", step, settings)


def _diverged(what: str, step: int, settings: Train) -> InputError:
    precision = "" if settings.precision == "32-true" else " or train.precision 32-true"
    return InputError(
        f"train: {what} at step {step}; expected finite numbers: try a lower train.lr than {settings.lr:g}{precision}, "
        "or look for scans of strange intensities with sss validate-splits"
    )


def _acceptance(row: dict[str, float], classes: list[str]) -> list[float]:
    return [row.get(f"plausible_{name}", math.nan) for name in classes]


def _validation_row(scores: Validation) -> dict[str, float]:
    return {
        "val_dice": scores.dice,
        **{f"val_dice_{name}": dice for name, dice in scores.per_class.items()},
        **{f"val_precision_{name}": precision for name, precision in scores.precision.items()},
    }


def _log(state: WorkState, row: dict[str, float], on_metrics: OnMetrics) -> None:
    state.log(row)
    on_metrics(state.step, row)


def _progress_bar(config: Config, fabric: Fabric) -> ProgressBar:
    return ProgressBar(config.train.method, unit="budget", log_lines=20, enabled=fabric.is_global_zero)


def _note(state: WorkState, *, loss: float) -> str:
    best = f", best val Dice {state.best_dice:.3f}" if state.best_dice >= 0 else ""
    return f"step {state.step}, loss {loss:.3f}{best}"


def _warn_all(bar: ProgressBar, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        bar.warn(sentence)


# After the last step.


def _write_checkpoint(
    output: Path,
    config: Config,
    sources: _Sources,
    slices: _TrainingSlices,
    state: WorkState,
    fabric: Fabric,
    *,
    data_dir: Path,
) -> None:
    assert state.best is not None  # the last step is always validated
    meta = _with_parent(_meta(config, sources, slices, state, fabric), sources.parent)
    trained = Checkpoint(meta, state.best.weights, pd.DataFrame(state.history))
    predictor = Predictor(trained, fabric)
    quality = calibrate(predictor, sources.patients.val, labels=sources.labels, data_dir=data_dir)
    meta = meta.model_copy(update={"quality": quality})
    save_checkpoint(output, meta=meta, weights=trained.weights, history=state.history)


def _meta(config: Config, sources: _Sources, slices: _TrainingSlices, state: WorkState, fabric: Fabric) -> Meta:
    assert state.best is not None
    supervised, patients = config.train.method == "supervised", sources.patients
    # Supervised training opens no unlabelled scan. In the other methods, labelled patients are among the unlabelled.
    unlabelled = () if supervised else patients.unlabelled
    seen = slices.labelled if supervised else slices.unlabelled
    scans = [(case.shape, case.spacing_mm) for case in unlabelled or patients.labelled]
    return Meta(
        method=config.train.method,
        labels=sources.labels,
        data_version=sources.data_version,
        manifest_sha256=sources.manifest_sha256,
        pretrained_sha256=sources.pretrained_sha256,
        patients=Patients(
            labelled=_names(patients.labelled),
            unlabelled=_names(unlabelled),
            validation=_names(patients.val),
        ),
        images=Images(
            labelled=_hashes(patients.labelled),
            unlabelled=_hashes(unlabelled),
            validation=_hashes(patients.val),
        ),
        fingerprint=fingerprint(scans, measure_cached(seen.images, config.data)),
        git_revision=git_revision(),
        image_digest=image_digest(),
        device=device_name(fabric.device),
        processes=fabric.world_size,
        precision=resolve_precision(config.train.precision),
        steps=state.step,
        minutes=round(state.seconds / 60, 2),
        best_step=state.best.step,
        val_dice=state.best_dice,
        val_dice_per_class=state.best.per_class,
        config=config,
    )


def _with_parent(meta: Meta, parent: Parent | None) -> Meta:
    if parent is None or meta.images is None:
        return meta
    seen = {"patients": parent.seen_patients(meta.patients), "images": parent.seen_images(meta.images)}
    return meta.model_copy(update={**seen, "origin": parent.origin()})


def _names(cases: tuple[Case, ...]) -> list[str]:
    return sorted({case.patient for case in cases})


def _hashes(cases: tuple[Case, ...]) -> list[str]:
    return sorted({case.image_sha256 for case in cases})
