"""Fine-tuning: the weights of a trained model where they fit, and the patients that it learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sss_model.checkpoint import Checkpoint, Images, Patients, TrainingOrigin, load_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.evaluation.leaks import leaks
from sss_model.files import sha256
from sss_model.network import Network

# Tensors with rows by class: rows a class, and the first class that has some.
_PER_CLASS = {
    "decoder.head.weight": (4, 0),
    "decoder.head.bias": (4, 0),
    "decoder.context.proportions": (1, 1),
    "decoder.context.classes.weight": (1, 0),
    "decoder.context.classes.bias": (1, 0),
    "head.weight": (1, 0),
    "head.bias": (1, 0),
    "gate": (1, 1),
}


@dataclass(frozen=True)
class Parent:
    """A trained model that another training starts from.

    Attributes:
        model: its exact name: ``models:/NAME/VERSION`` or a folder.
    """

    model: str
    checkpoint: Checkpoint
    weights_sha256: str

    @classmethod
    def read(cls, folder: Path, model: str) -> Parent:
        """Read a checkpoint's folder; raises `InputError` where it is missing, damaged or none of ours."""
        return cls(model, load_checkpoint(folder), sha256(folder / "weights.pt"))

    def origin(self) -> TrainingOrigin:
        """Its record in the checkpoint of the new training."""
        meta = self.checkpoint.meta
        known = meta.images is not None and (meta.origin is None or meta.origin.images_known)
        return TrainingOrigin(
            model=self.model,
            weights_sha256=self.weights_sha256,
            data_version=meta.data_version,
            patients=meta.patients,
            images_known=known,
        )

    def seen_patients(self, own: Patients) -> Patients:
        """The patients of a training, `own`, and of this model, by role."""
        return Patients(**_united(own.model_dump(), self.checkpoint.meta.patients.model_dump()))

    def seen_images(self, own: Images) -> Images:
        """The images of both, as far as this model's are known."""
        theirs = self.checkpoint.meta.images
        return Images(**_united(own.model_dump(), theirs.model_dump())) if theirs else own


def refuse_seen(parent: Parent, manifest: Manifest) -> list[str]:
    """Refuse a model that learned from validation patients, which select the weights.

    Returns:
        A warning if it learned from test patients, which the evaluation will refuse to score.

    Raises:
        InputError: it learned from validation patients, recognised by name or by the content of an image.
    """
    for sentence in leaks(parent.checkpoint.meta, manifest.split("val"), split="val"):
        raise InputError(f"train.init_from: {parent.model}, split val: {sentence}")
    found = leaks(parent.checkpoint.meta, manifest.split("test"), split="test")
    return [f"train.init_from: {parent.model}, split test: {sentence}; no score will be given" for sentence in found]


def inherit_weights(network: Network, parent: Parent, config: Config, labels: Mapping[str, int]) -> list[str]:
    """Give a network the weights of a trained one.

    Tensors that both have must have one shape. Classes are matched by name: one that both have keeps its rows, a new
    one starts from scratch. A part that only one of them has, such as the memory decoder, stays as it is or is left
    out.

    Args:
        network: as the recipe builds it; it is changed.
        labels: the training's classes, background included, to their indices.

    Returns:
        Sentences on what was not inherited.

    Raises:
        InputError: the networks don't fit, or a weight is not finite; the network is then as it was.
    """
    trained = parent.checkpoint
    _refuse_other_network(parent, config)
    if config.model.freeze_decoder and (new := labels.keys() - trained.meta.labels.keys()):
        raise InputError(
            f"model.freeze_decoder: {', '.join(sorted(new))} is no class of {parent.model}, so nothing could learn it; "
            "expected that model's classes, or a decoder that learns"
        )
    own, theirs = network.state_dict(), trained.weights
    taken = {name: _fitting(name, value, theirs[name], labels, parent) for name, value in own.items() if name in theirs}
    network.load_state_dict({**own, **taken})
    return [*_parts(own, theirs, parent), *_classes(labels, trained.meta.labels, parent)]


def _refuse_other_network(parent: Parent, config: Config) -> None:
    theirs, ours = parent.checkpoint.config.model, config.model
    keys = ("network",) if ours.network == "unet" else ("network", "encoder", "decoder_channels", "context")
    for key in keys:
        if getattr(theirs, key) != getattr(ours, key):
            raise InputError(
                f"train.init_from: {parent.model} has model.{key} {getattr(theirs, key)}, the recipe "
                f"{getattr(ours, key)}; expected both alike"
            )


def _fitting(name: str, own: Tensor, theirs: Tensor, labels: Mapping[str, int], parent: Parent) -> Tensor:
    if not theirs.isfinite().all():
        raise InputError(f"train.init_from: {parent.model}: {name} holds NaN or infinity; expected finite weights")
    if name in _PER_CLASS:
        return _by_class(name, own, theirs, labels, parent.checkpoint.meta.labels)
    if own.shape != theirs.shape:
        raise InputError(
            f"train.init_from: {parent.model}: {name} has the shape {_written(theirs)} where this network has "
            f"{_written(own)}; expected a model of the same sizes"
        )
    return theirs


def _by_class(
    name: str, own: Tensor, theirs: Tensor, labels: Mapping[str, int], their_labels: Mapping[str, int]
) -> Tensor:
    rows, first = _PER_CLASS[name]
    result = own.clone()
    for label in labels.keys() & their_labels.keys():
        here, there = (rows * (index - first) for index in (labels[label], their_labels[label]))
        if here >= 0 and there >= 0:
            result[here : here + rows] = theirs[there : there + rows]
    return result


def _parts(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], parent: Parent) -> list[str]:
    ours, their_parts = (sorted({name.split(".")[0] for name in weights}) for weights in (own, theirs))
    missing = [part for part in ours if part not in their_parts]
    left = [part for part in their_parts if part not in ours]
    sentences = []
    if missing:
        sentences.append(f"train.init_from: {parent.model} has no {', '.join(missing)}; what it lacks starts anew")
    if left:
        sentences.append(
            f"train.init_from: the recipe's network has no {', '.join(left)}; {parent.model}'s is left out"
        )
    return sentences


def _classes(labels: Mapping[str, int], theirs: Mapping[str, int], parent: Parent) -> list[str]:
    if dict(labels) == dict(theirs):
        return []
    here, there = ({name for name, index in names.items() if index} for names in (labels, theirs))
    facts = ((here & there, "taken over"), (here - there, "learned from scratch"), (there - here, "left out"))
    said = [f"{', '.join(sorted(names))} {'is' if len(names) == 1 else 'are'} {what}" for names, what in facts if names]
    return [f"train.init_from: {parent.model} has other classes: {'; '.join(said)}"]


def _united(own: Mapping[str, list[str]], theirs: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {role: sorted({*seen, *theirs[role]}) for role, seen in own.items()}


def _written(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "of a single number"
