"""The paper's command lines, and the raw data sets that they are given."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from support.samples import write_bhsd, write_btcv_slices, write_refuge_raters
from support.scans import write_acdc

REFUGE = (
    "-net sam2 -exp_name REFUGE_MedSAM2 -vis 1 -sam_ckpt ./checkpoints/sam2_hiera_small.pt -sam_config sam2_hiera_s "
    "-image_size 1024 -out_size 1024 -b 4 -val_freq 1 -dataset REFUGE -data_path ./data/REFUGE"
)
BTCV = (
    "-net sam2 -exp_name BTCV_MedSAM2 -sam_ckpt ./checkpoints/sam2_hiera_small.pt -sam_config sam2_hiera_s "
    "-image_size 1024 -val_freq 1 -prompt bbox -prompt_freq 2 -dataset btcv -data_path ./data/btcv"
)
ACDC = BTCV.replace("-dataset btcv -data_path ./data/btcv", "-dataset ACDC -data_path ./data/ACDC")
BHSD = BTCV.replace("-dataset btcv -data_path ./data/btcv", "-dataset bhsd -data_path ./data/bhsd")
LINES = {"REFUGE": (2, REFUGE), "btcv": (3, BTCV), "ACDC": (3, ACDC), "bhsd": (3, BHSD)}
"""Data set to the script's dimensions and its command line, word by word."""

RAW: dict[str, Callable[[Path], object]] = {
    "REFUGE": write_refuge_raters,
    "btcv": write_btcv_slices,
    "ACDC": lambda folder: write_acdc(folder, {"patient001": "DCM", "patient002": "NOR", "patient090": "MINF"}),
    "bhsd": write_bhsd,
}


@pytest.fixture
def words() -> Callable[..., list[str]]:
    """A data set's words, with other values for some flags and further flags."""

    def make(name: str, **other: object) -> list[str]:
        _, line = LINES[name]
        found = shlex.split(line)
        flags = dict(zip(found[::2], found[1::2], strict=True)) | {
            f"-{key}": str(value) for key, value in other.items()
        }
        return [word for pair in flags.items() for word in pair]

    return make


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a data set's sample where its command line says, below the test's folder."""

    def write(name: str) -> Path:
        folder = tmp_path / "data" / name
        RAW[name](folder)
        return folder

    return write
