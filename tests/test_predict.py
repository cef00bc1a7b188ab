from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from sss_model.errors import InputError
from sss_model.manifest import Manifest
from sss_model.predict import Predictor, predict_files


def test_a_mask_lies_on_its_scans_grid(tmp_path: Path, checkpoint: Path, phantom: Path, manifest: Manifest) -> None:
    for case in manifest.split("test")[:4]:  # stored RAS and LPS
        scan = phantom / case.image
        [(_, mask)] = predict_files(checkpoint, scan, tmp_path / "mask.nii.gz")
        image, written = nib.load(scan), nib.load(mask)
        assert written.shape == image.shape
        assert np.array_equal(written.affine, image.affine)
        assert written.get_data_dtype() == np.uint8


def test_a_folder_is_predicted_scan_by_scan(tmp_path: Path, checkpoint: Path, phantom: Path) -> None:
    done = list(predict_files(checkpoint, phantom / "imagesTs", tmp_path / "masks"))
    names = {"dataset.json", "labels.txt", "labels.ctbl"}
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == sorted({scan.name for scan, _ in done} | names)
    assert len(done) == len(list((phantom / "imagesTs").iterdir()))


def test_a_png_gives_a_png(tmp_path: Path, checkpoint: Path) -> None:
    pixels = np.random.default_rng(0).integers(255, size=(40, 60), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    list(predict_files(checkpoint, tmp_path / "scan.png", tmp_path / "mask.png"))
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.size == (60, 40)
        assert np.asarray(mask).max() <= 3


def test_the_same_scan_gives_the_same_mask(checkpoint: Path, phantom: Path, manifest: Manifest) -> None:
    from sss_model.volumes import read_volume

    volume = read_volume(phantom / manifest.split("test")[0].image)
    first, second = (Predictor.load(checkpoint).probabilities(volume) for _ in range(2))
    assert np.array_equal(first.numpy(), second.numpy())


@pytest.mark.parametrize("name", ["missing.nii.gz", "."])
def test_nothing_to_predict_is_refused(tmp_path: Path, checkpoint: Path, name: str) -> None:
    with pytest.raises(InputError, match="expected"):
        list(predict_files(checkpoint, tmp_path / name, tmp_path / "out"))
