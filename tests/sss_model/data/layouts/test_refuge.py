"""REFUGE: the challenge's grey masks, and seven raters' masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.samples import fundus, write_refuge, write_refuge_raters

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.refuge import inventory
from sss_model.errors import InputError


@pytest.fixture
def challenge(tmp_path):
    return write_refuge(tmp_path / "challenge", patients=2)


@pytest.fixture
def raters(tmp_path):
    return write_refuge_raters(tmp_path / "raters")


def mask_of(folder, case: str) -> np.ndarray:
    (path,) = folder.glob(f"labels*/{case}.png")
    return np.asarray(Image.open(path))


def test_grey_values_become_rim_and_cup(challenge, tmp_path):
    import_dataset("refuge", challenge, tmp_path / "refuge")
    _, disc, cup = fundus(1)
    assert open_dataset(tmp_path / "refuge").labels == {"background": 0, "rim": 1, "cup": 2}
    mask = mask_of(tmp_path / "refuge", "g0002")
    assert np.array_equal(mask == 2, cup)
    assert np.array_equal(mask > 0, disc)


def test_photographs_stay_coloured_and_keep_their_pixels(challenge, tmp_path):
    import_dataset("refuge", challenge, tmp_path / "refuge")
    jpeg = np.asarray(Image.open(challenge / "Test400" / "T0001.jpg"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "refuge" / "imagesTs" / "T0001_0000.png")), jpeg)
    description = json.loads((tmp_path / "refuge" / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert description["file_ending"] == ".png"


def test_the_challenges_sets_are_the_splits_and_the_diagnosis_is_the_group(challenge, tmp_path):
    import_dataset("refuge", challenge, tmp_path / "refuge")
    rows = {row.case: (row.split, row.group) for row in open_dataset(tmp_path / "refuge").splits}
    assert rows["g0001"] == ("train", "glaucoma")
    assert rows["n0002"] == ("train", "non-glaucoma")
    assert (rows["V0001"], rows["T0002"]) == (("val", ""), ("test", ""))


def test_photographs_without_masks_are_unlabelled_or_left_out(challenge, tmp_path):
    for name in ("V0001", "T0001"):
        next(challenge.rglob(f"{name}.bmp")).unlink()
    import_dataset("refuge", challenge, tmp_path / "refuge")
    rows = {row.case: row.split for row in open_dataset(tmp_path / "refuge").splits}
    assert rows["V0001"] == "train"
    assert "T0001" not in rows


def test_another_grey_value_is_refused(challenge, tmp_path):
    path = next(challenge.rglob("n0001.bmp"))
    Image.new("L", (96, 96), 100).save(path)
    with pytest.raises(InputError, match=r"case n0001: .*n0001\.bmp: a value 100; expected 0 for the cup, 128"):
        import_dataset("refuge", challenge, tmp_path / "refuge")


def test_the_majority_of_seven_raters_decides(raters, tmp_path):
    import_dataset("refuge", raters, tmp_path / "refuge")
    _, _, cup = fundus(2)
    assert open_dataset(tmp_path / "refuge").labels == {"background": 0, "cup": 1}
    assert np.mean((mask_of(tmp_path / "refuge", "0002") == 1) == cup) > 0.999
    for rater in range(1, 5):
        path = raters / "Training-400" / "0002" / f"0002_seg_cup_{rater}_cropped.jpg"
        Image.fromarray((np.roll(cup, 9, axis=0) * 255).astype(np.uint8)).save(path, quality=95)
    import_dataset("refuge", raters, tmp_path / "refuge", replace=True)
    assert np.mean((mask_of(tmp_path / "refuge", "0002") == 1) == np.roll(cup, 9, axis=0)) > 0.999


def test_masks_of_the_disc_give_the_rim(raters, tmp_path):
    for place in raters.glob("*/*"):
        _, disc, _ = fundus(int(place.name))
        for rater in range(1, 8):
            Image.fromarray((disc * 255).astype(np.uint8)).save(place / f"{place.name}_seg_disc_{rater}_cropped.jpg")
    import_dataset("refuge", raters, tmp_path / "refuge")
    assert set(np.unique(mask_of(tmp_path / "refuge", "0001"))) == {0, 1, 2}


def test_medical_sam2s_test_folder_is_the_test_set(raters, tmp_path):
    import_dataset("refuge", raters, tmp_path / "refuge")
    assert {row.case for row in open_dataset(tmp_path / "refuge").splits if row.split == "test"} == {"0005"}


def test_masks_without_their_photograph_and_other_folders_are_refused(raters, challenge, tmp_path):
    (raters / "Training-400" / "0003" / "0003_cropped.jpg").unlink()
    with pytest.raises(InputError, match=r"0003: no 0003_cropped\.jpg; expected the photograph"):
        inventory(raters)
    next(challenge.rglob("g0001.jpg")).unlink()
    with pytest.raises(InputError, match=r"g0001\.bmp: a mask without a photograph"):
        inventory(challenge)
    with pytest.raises(InputError, match="no photographs; expected REFUGE's"):
        inventory(tmp_path / "nothing")
