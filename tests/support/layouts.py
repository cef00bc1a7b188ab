"""Every layout: a sample of it, what a person types to import it, and a recipe that so few scans can be tried with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sss_model.config import dump_config, load_config
from support.cohorts import write_acdc_hearts, write_nnunet_hearts, write_nnunet_pictures
from support.paths import ROOT
from support.samples import SAMPLES

# A few steps of a small network, and as few patients as a sample has.
_SMALL: Mapping[str, Any] = {
    "data.labelled": 1,
    "data.size": 64,
    "model.decoder_channels": 8,
    "train.steps": 150,
    "train.minutes": None,
    "train.batch": 2,
    "train.unlabelled_batch": 2,
    "train.precision": "32-true",
    "train.val_every": 75,
    "data_checks.min_labelled_patients": 1,
    "data_checks.min_test_patients": 1,
}
# The drawn ones are all of one pattern, which the data checks rightly take for one scan.
_ALIKE = {"data_checks.max_similarity": 1.0}
_PHOTOGRAPH = {"data.spacing_mm": 1.5, "data.labelled": 2, **_ALIKE}
_OF_NO_HEART = {"evaluation.ejection_class": None, **_ALIKE}


@dataclass(frozen=True)
class Layout:
    """One layout of scans.

    Attributes:
        title: its name in the table.
        words: after ``sss import``: the layout, the source below ``downloads`` where there is one, the destination
            below ``data``, and options.
        write: makes the source; None where the layout makes its own scans.
        recipe: the file below ``configs`` to start from.
        changes: of its values, beside those that make the training small.
        dice: what even so short a training must reach; thirteen organs take longer.
    """

    title: str
    words: str
    write: Callable[[Path], object] | None
    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    dice: float = 0.1

    @property
    def data_dir(self) -> Path:
        """Where the import puts the data set."""
        return next(Path(word) for word in shlex.split(self.words) if word.startswith("data/"))

    def prepare(self, folder: Path) -> None:
        """Write the source and ``params.yaml`` into a folder."""
        if self.write:
            source = next(word for word in shlex.split(self.words) if word.startswith("downloads/"))
            self.write(folder / "/".join(source.split("/")[:2]))
        changes = {**_SMALL, "data.name": self.data_dir.name, **self.changes}
        config = load_config(ROOT / "configs" / self.recipe, changes)
        (folder / "params.yaml").write_text(yaml.safe_dump(dump_config(config), sort_keys=False))


LAYOUTS = (
    Layout(
        "ACDC, official",
        "acdc downloads/acdc data/acdc",
        write_acdc_hearts,
        "cpu/acdc.yaml",
        {"data.spacing_mm": 2.5, "data_checks.same_person": []},
    ),
    Layout(
        "ACDC, SSL4MIS's .h5",
        "acdc downloads/ssl4mis data/acdc",
        SAMPLES["ssl4mis"],
        "cpu/acdc.yaml",
        {"data.spacing_mm": 0.75, "data_checks.same_person": [], **_ALIKE},
    ),
    Layout(
        "BHSD",
        "bhsd downloads/bhsd data/bhsd",
        SAMPLES["bhsd"],
        "cpu/bhsd.yaml",
        {"data.spacing_mm": 0.45, "train.steps": 400, **_ALIKE},
    ),
    Layout(
        "BTCV, NIfTI",
        "btcv downloads/btcv data/btcv",
        SAMPLES["btcv"],
        "cpu/btcv.yaml",
        {"data.spacing_mm": 0.7, **_ALIKE},
        dice=0.0,
    ),
    Layout(
        "BTCV, Medical-SAM2's slices",
        "btcv downloads/btcv-slices data/btcv",
        SAMPLES["btcv-slices"],
        "cpu/btcv.yaml",
        {"data.spacing_mm": 0.75, "data.window": None, **_ALIKE},
        dice=0.0,
    ),
    Layout(
        "REFUGE, the challenge's masks",
        "refuge downloads/refuge data/refuge",
        SAMPLES["refuge"],
        "cpu/refuge.yaml",
        _PHOTOGRAPH,
    ),
    Layout(
        "REFUGE, Medical-SAM2's raters",
        "refuge downloads/refuge-raters data/refuge",
        SAMPLES["refuge-raters"],
        "cpu/refuge.yaml",
        _PHOTOGRAPH,
    ),
    Layout(
        "nnU-Net, 3-D",
        "nnunet downloads/nnunet data/heart",
        write_nnunet_hearts,
        "phantom.yaml",
        {"data.spacing_mm": 2.5},
    ),
    Layout(
        "nnU-Net, 2-D PNG",
        "nnunet downloads/nnunet-png data/eyes",
        write_nnunet_pictures,
        "cpu/refuge.yaml",
        _PHOTOGRAPH,
    ),
    Layout(
        "Decathlon, several channels",
        "nnunet downloads/decathlon data/prostate --channel ADC",
        SAMPLES["decathlon"],
        "phantom.yaml",
        {"data.spacing_mm": 0.3, **_OF_NO_HEART},
    ),
    Layout(
        "folder of volumes",
        "folder downloads/folder data/mine --labels tumour --patient '(.+)_'",
        SAMPLES["folder"],
        "phantom.yaml",
        {"data.spacing_mm": 0.5, **_OF_NO_HEART},
    ),
    Layout(
        "folder of pictures",
        "folder downloads/pictures data/eyes --labels rim,cup",
        SAMPLES["pictures"],
        "cpu/refuge.yaml",
        _PHOTOGRAPH,
    ),
    Layout(
        "DICOM series",
        "dicom downloads/dicom/export data/clinic --masks downloads/dicom/drawn --labels tumour",
        SAMPLES["dicom"],
        "phantom.yaml",
        {"data.spacing_mm": 0.25, **_OF_NO_HEART},
    ),
    Layout("phantom", "phantom data/phantom", None, "phantom.yaml", {"data.spacing_mm": 2.5}),
)
