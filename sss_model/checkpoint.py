"""A checkpoint: weights, a readable ``meta.json`` and the training curve, in one folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from sss_model.config import Config, parse_config
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.inference.drift import Fingerprint
from sss_model.inference.quality import QualityFit
from sss_model.io.weights import read_weights, write_weights
from sss_model.network import Network, build_network


class Patients(BaseModel):
    """Patients that the weights have learned from, by role, in this training and in those that it continues."""

    model_config = ConfigDict(frozen=True)
    labelled: list[str]
    unlabelled: list[str]
    validation: list[str]


class Images(BaseModel):
    """Images that the weights have learned from, as SHA-256 of the files: renaming a file changes nothing."""

    model_config = ConfigDict(frozen=True)
    labelled: list[str]
    unlabelled: list[str]
    validation: list[str]


class TrainingOrigin(BaseModel):
    """The trained model that a training started from."""

    model_config = ConfigDict(frozen=True)
    model: str
    """``models:/NAME/VERSION``, or the checkpoint's folder."""
    weights_sha256: str
    data_version: str
    patients: Patients
    """Those that it learned from; they are among the patients of this training, too."""
    images_known: bool
    """Whether the hashes of all images that it learned from are known."""


class Meta(BaseModel):
    """A checkpoint's ``meta.json``: what was trained, from which data, and how well."""

    model_config = ConfigDict(frozen=True)
    method: str
    labels: dict[str, int]
    data_version: str
    manifest_sha256: str
    pretrained_sha256: str | None = None
    """Of the file with the weights that training started from; None for random ones."""
    origin: TrainingOrigin | None = None
    """None where the training did not start from a trained model."""
    patients: Patients
    images: Images | None = None
    """None where the hashes are not known."""
    fingerprint: Fingerprint | None = None
    """Geometry and intensities of the scans, for drift warnings."""
    quality: QualityFit | None = None
    """Predicted quality, calibrated on the validation scans; None where these are too few."""
    git_revision: str | None
    image_digest: str | None
    device: str = "not recorded"
    """A GPU's product name, or ``cpu``."""
    processes: int = 1
    """Processes that trained together, each with the recipe's batch."""
    precision: str = "not recorded"
    """The recipe's precision, ``auto`` resolved for that device."""
    steps: int
    minutes: float
    best_step: int
    val_dice: float
    val_dice_per_class: dict[str, float]
    config: Config
    """The whole recipe, defaults included."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model as it is stored on disk."""

    meta: Meta
    weights: dict[str, Tensor]
    history: pd.DataFrame
    """One row a logged step; the columns are the training's scalars."""

    @property
    def config(self) -> Config:
        """The recipe."""
        return self.meta.config

    def with_config(self, config: Config) -> Checkpoint:
        """The same weights under another recipe, such as one with other settings for prediction."""
        return replace(self, meta=self.meta.model_copy(update={"config": config}))

    def network(self) -> Network:
        """The trained network, on the CPU, in evaluation mode."""
        network = build_network(self.config, classes=len(self.meta.labels))
        try:
            network.load_state_dict(self.weights)
        except RuntimeError:
            raise InputError(
                f"weights.pt does not fit the network that meta.json describes "
                f"({self.config.model.encoder}, {self.config.model.decoder_channels} decoder channels); "
                "expected a checkpoint of that configuration"
            ) from None
        return network.eval()


def save_checkpoint(folder: Path, *, meta: Meta, weights: dict[str, Tensor], history: list[dict[str, float]]) -> None:
    """Write a checkpoint; `folder` appears whole or not at all."""
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_weights(partial / "weights.pt", weights)
        document = json.dumps(meta.model_dump(mode="json", by_alias=True), indent=2)
        write_atomically(partial / "meta.json", (document + "\n").encode())
        write_atomically(partial / "history.csv", pd.DataFrame(history).to_csv(index=False).encode())
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises:
        InputError: the folder or a file in it is missing, damaged, not ours, or of another version.
    """
    if not (folder / "meta.json").is_file():
        raise InputError(f"{folder}: no checkpoint there; expected a folder with weights.pt and meta.json")
    meta = read_meta(folder / "meta.json")
    try:
        history = pd.read_csv(folder / "history.csv")
    except FileNotFoundError:
        raise InputError(f"{folder / 'history.csv'}: missing from the checkpoint") from None
    return Checkpoint(meta, read_weights(folder / "weights.pt"), history)


def read_meta(path: Path) -> Meta:
    """Read a ``meta.json`` alone; raises `InputError` where it is missing, damaged, or not ours."""
    try:
        text = path.read_text()
        return Meta.model_validate_json(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the meta.json of a checkpoint") from None
    except ValidationError as error:
        raise InputError(f"{path}: {_misfit(error, text)}") from None


def _misfit(error: ValidationError, text: str) -> str:
    first = error.errors()[0]
    if first["loc"][:1] == ("config",) and first["loc"][1:]:
        try:
            parse_config(json.loads(text)["config"], where="recipe")
        except InputError as misfit:
            return f"a checkpoint of another version ({misfit}); expected one that this version trained"
    where = ".".join(str(part) for part in first["loc"])
    return f"{where} {first['msg'].lower()}; expected the meta.json of a checkpoint"


def git_revision() -> str | None:
    """The commit this code is at, ``-dirty`` when the tree differs; SSS_GIT_REVISION where there is no git, or None."""
    if revision := os.environ.get("SSS_GIT_REVISION"):
        return revision
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def image_digest() -> str | None:
    """The digest of the container image this runs in, as its environment says it; None outside one."""
    return os.environ.get("SSS_IMAGE_DIGEST")
