from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sss_model.data import phantom as phantom_image
from sss_model.data.canonical import Dataset, open_dataset
from sss_model.data.phantom import GROUPS, LABELS, Draws, Grid, draw_heart, render, write_phantom
from sss_model.errors import InputError
from sss_model.io.volumes import Volume, read_pair

# Of the whole default cohort. It changes when the phantom is changed, and at no other time: not with the machine.
COHORT_SHA256 = "626a785a4eeac018d1b83c98e254018abb3f9a8d01536a933b5fabf1b7f96d56"


def digest(folder: Path) -> str:
    """Of every file's path and content."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def unrounded_sha256() -> str:
    grid, draws = Grid(shape=(100, 96, 8), spacing=(1.5, 1.5, 9.0)), Draws("a patient")
    heart = draw_heart(grid, draws, group="thick", systole=True)
    return hashlib.sha256(render(grid, heart, draws, draws.branch("es")).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cohort")
    write_phantom(folder)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def pairs(cohort: Dataset) -> dict[str, tuple[Volume, Volume]]:
    return {files.case: read_pair(files.image, Path(str(files.label)), files.case) for files in cohort.cases}


def test_the_whole_cohort_has_the_same_bytes_on_every_machine(cohort: Dataset) -> None:
    assert digest(cohort.folder) == COHORT_SHA256


def test_writing_twice_gives_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, seed in (("once", 0), ("twice", 0), ("other", 1)):
        write_phantom(tmp_path / name, patients=4, seed=seed)
    assert digest(tmp_path / "once") == digest(tmp_path / "twice")
    assert digest(tmp_path / "once") != digest(tmp_path / "other")


def test_unrounded_values_are_the_same_to_the_last_bit_without_the_processor_s_vector_units() -> None:
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    without = subprocess.run(
        [sys.executable, "-c", "import test_phantom; print(test_phantom.unrounded_sha256())"],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found), "PYTHONPATH": f"{Path(__file__).parent}:."},
        check=True,
        capture_output=True,
        text=True,
    )
    assert without.stdout.strip() == unrounded_sha256()


def test_images_are_int16_and_labels_uint8_with_every_class_in_every_case(cohort: Dataset) -> None:
    for files in cohort.cases:
        image, label = nib.load(files.image), nib.load(str(files.label))
        assert image.get_data_dtype() == np.int16
        assert label.get_data_dtype() == np.uint8
        assert set(np.unique(np.asanyarray(label.dataobj))) == set(LABELS.values()), files.case


def test_sizes_and_spacings_vary_within_what_scanners_give(pairs: dict[str, tuple[Volume, Volume]]) -> None:
    images = [image for image, _ in pairs.values()]
    assert all(96 <= side <= 128 for image in images for side in image.array.shape[:2])
    assert all(8 <= image.array.shape[2] <= 10 for image in images)
    assert all(1.2 <= mm <= 1.8 for image in images for mm in image.spacing[:2])
    assert all(8 <= image.spacing[2] <= 10 for image in images)
    assert len({image.spacing[0] for image in images}) >= 10
    assert len({image.spacing[2] for image in images}) >= 10


def test_half_the_patients_are_stored_the_other_way_round(cohort: Dataset) -> None:
    codes = ["".join(nib.aff2axcodes(nib.load(files.image).affine)) for files in cohort.cases]
    assert codes.count("RAS") == codes.count("LPS") == len(codes) / 2


def test_both_forms_of_the_header_agree(cohort: Dataset) -> None:
    for files in cohort.cases[:4]:
        header = nib.load(files.image).header
        np.testing.assert_array_equal(header.get_sform(), header.get_qform())
        np.testing.assert_array_equal(header.get_zooms(), np.abs(np.diag(header.get_sform())[:3]))


def test_both_frames_of_a_patient_are_on_one_side_of_the_split(cohort: Dataset) -> None:
    sides = defaultdict(set)
    for row in cohort.splits:
        sides[row.split].add(row.patient)
    assert {split: len(patients) for split, patients in sides.items()} == {"train": 14, "val": 2, "test": 4}
    assert len(cohort.splits) == 40
    queue = {row.patient: row.label_order for row in cohort.splits if row.split == "train"}
    assert sorted(order for order in queue.values() if order is not None) == list(range(14))
    assert {row.group for row in cohort.splits} == set(GROUPS)


def test_hearts_narrow_and_shift_to_the_apex_and_contract(pairs: dict[str, tuple[Volume, Volume]]) -> None:
    for case in (case for case in pairs if case.endswith("_ed")):
        cavity = pairs[case][1].array == 1
        systole = pairs[case.replace("_ed", "_es")][1].array == 1
        assert systole.sum() < 0.9 * cavity.sum(), case
        areas = cavity.sum((0, 1))
        assert areas[-1] < 0.8 * areas[0], case
        assert np.linalg.norm(middle(cavity[..., 0]) - middle(cavity[..., -1])) > 0.5, case


def test_hearts_lie_elsewhere_in_every_patient(pairs: dict[str, tuple[Volume, Volume]]) -> None:
    labels = [label for case, (_, label) in pairs.items() if case.endswith("_ed")]
    offsets = [
        (middle(label.array[..., 3] > 0) - (np.array(label.array.shape[:2]) - 1) / 2) * label.spacing[0]
        for label in labels
    ]
    assert (np.std(offsets, axis=0) > 3.5).all(), np.std(offsets, axis=0)


def test_look_alikes_are_as_bright_as_the_cavity_and_leave_the_heart_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, draws = Grid(shape=(100, 96, 8), spacing=(1.5, 1.5, 9.0)), Draws("a patient")
    heart = draw_heart(grid, draws, group="normal", systole=False)
    among = render(grid, heart, draws, draws.branch("ed"))
    for knob in ("LOOKALIKES", "VESSELS"):
        monkeypatch.setattr(phantom_image, knob, (0, 0))
    alone = render(grid, heart, draws, draws.branch("ed"))
    cavity = np.median(alone[heart.label == 1])
    assert np.sum((among > 0.9 * cavity) & (alone < 0.7 * cavity)) > 200
    inside = heart.wall < -2 * grid.spacing[0]
    np.testing.assert_array_equal(among[inside], alone[inside])


def test_noise_is_centred_and_has_unit_variance() -> None:
    noise = Draws("a name").noise("noise", (100, 100, 10))
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs(np.corrcoef(noise.ravel()[1:], noise.ravel()[:-1])[0, 1]) < 0.02


def test_fields_are_smooth_and_bounded() -> None:
    field = Draws("a name").field("field", [np.arange(60.0), np.arange(50.0)], (10.0, 20.0))
    assert field.shape == (60, 50)
    assert np.abs(field).max() <= 1
    assert 0 < np.abs(np.diff(field, axis=0)).max() < 2 * 1.5 / 10  # smoothstep is at most 1.5 times as steep


def test_draws_depend_on_their_own_name_alone() -> None:
    draws = Draws("patient")
    assert draws.uniform("a", (2.0, 3.0)) == Draws("patient").uniform("a", (2.0, 3.0))
    assert draws.uniform("a", (0.0, 1.0)) != draws.uniform("b", (0.0, 1.0))
    assert {draws.branch(number).integer("c", (1, 3)) for number in range(50)} == {1, 2, 3}
    cosine, sine = draws.rotation("d", 1.0)
    assert cosine * cosine + sine * sine == pytest.approx(1)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 patients asked for; expected at least 4"):
        write_phantom(tmp_path / "cohort", patients=3)
    assert not (tmp_path / "cohort").exists()


def middle(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0)
