"""Small generated samples in exactly the layouts that data sets come in: nobody's scans, but everybody's names.

``python -m support.samples LAYOUT FOLDER`` writes one, to try an import with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from sss_model.data.layouts.bhsd import TEST_CASES
from sss_model.data.layouts.btcv import LABELS as ORGANS


def blobs(seed: int, shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """Label map (X, Y, Z) uint8 with a box a class, on every slice."""
    draws = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    across = int(np.ceil(np.sqrt(classes)))
    side = min(shape[:2]) // (across + 1)
    for number in range(classes):
        x, y = (int(side * (cell + 0.5)) + draws.integers(0, max(side // 4, 1)) for cell in divmod(number, across))
        width, height = side // 2 + 1 + draws.integers(0, side // 4 + 1, 2)
        mask[x : x + width, y : y + height, 1 : -1 if shape[2] > 2 else None] = number + 1
    return mask


def hounsfield(seed: int, mask: np.ndarray) -> np.ndarray:
    """CT of a label map, int16: air around, tissue inside, classes brighter than each other."""
    draws = np.random.default_rng(seed + 1000)
    scan = np.full(mask.shape, -1000, np.int16)
    scan[2:-2, 2:-2] = 30
    return (scan + 12 * mask + draws.normal(0, 4, mask.shape) * (scan > -1000)).astype(np.int16)


def resonance(seed: int, mask: np.ndarray) -> np.ndarray:
    """MR of a label map, int16: no air, classes brighter than each other."""
    draws = np.random.default_rng(seed + 1000)
    return (300 + 100.0 * mask + draws.normal(0, 20, mask.shape)).astype(np.int16)


def save(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def write_bhsd(folder: Path, shape: tuple[int, int, int] = (64, 64, 6)) -> Path:
    """Two of the official test cases, six training cases of five patients, two unlabelled scans."""
    training = ["05331dc6_47213b7e2e", "089596a9_ea71b57820", "09b33fc4_bcd322d4ed", "0c3eef60_6994ad7df0"]
    training += ["2db7ee14_2591d00dfc", "2db7ee14_f27e38fdfd"]
    unlabelled = ["0f00aa11_1111111111", "0f00bb22_2222222222"]
    for seed, name in enumerate([*sorted(TEST_CASES)[:2], *training, *unlabelled]):
        patient, study = name.split("_")
        file = f"ID_{patient}_ID_{study}.nii.gz"
        mask = blobs(seed, shape, 5)
        part = folder / "unlabel_1980" if name in unlabelled else folder / "label_192" / "images"
        save(part / file, hounsfield(seed, mask), (0.45, 0.45, 5.0))
        if name not in unlabelled:
            save(folder / "label_192" / "ground truths" / file, mask, (0.45, 0.45, 5.0))
    return folder


def write_btcv(folder: Path, shape: tuple[int, int, int] = (64, 64, 6)) -> Path:
    """The challenge's RawData: five training scans, one test scan."""
    for number in (1, 2, 3, 4, 5, 61):
        part = folder / "RawData" / ("Testing" if number > 60 else "Training")
        mask = blobs(number, shape, len(ORGANS) - 1)
        save(part / "img" / f"img{number:04d}.nii.gz", hounsfield(number, mask), (0.7, 0.7, 3.0))
        if number <= 60:
            save(part / "label" / f"label{number:04d}.nii.gz", mask, (0.7, 0.7, 3.0))
    return folder


def write_btcv_slices(folder: Path, shape: tuple[int, int, int] = (64, 48, 5)) -> Path:
    """Medical-SAM2's slices: three training cases, one test case."""
    for number, part in ((1, "Training"), (2, "Training"), (3, "Training"), (35, "Test")):
        mask = blobs(number, shape, len(ORGANS) - 1)
        grey = np.clip(hounsfield(number, mask) + 60, 0, 255).astype(np.uint8)
        images, masks = (folder / part / kind / f"img{number:04d}" for kind in ("image", "mask"))
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for z in range(shape[2]):
            Image.fromarray(grey[:, :, z].T).convert("RGB").save(images / f"{z}.jpg", quality=95)
            np.save(masks / f"{z}.npy", mask[:, :, z].T.astype(np.float64))
    return folder


def fundus(seed: int, side: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph (H, W, 3) uint8 and where its disc and cup are, bool."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    centre = side / 2 + draws.uniform(-side / 8, side / 8, 2)
    away = np.hypot(x - centre[0], y - centre[1])
    disc, cup = away < side / 5, away < side / 9
    picture = np.zeros((side, side, 3))
    picture[...] = (150, 70, 30)
    picture[disc] = (220, 150, 80)
    picture[cup] = (250, 220, 170)
    return np.clip(picture + draws.normal(0, 5, picture.shape), 0, 255).astype(np.uint8), disc, cup


def write_refuge(folder: Path, patients: int = 4) -> Path:
    """The challenge's folders: per diagnosis `patients` training photographs, two for validation, two for testing."""
    names = [f"{letter}{number:04d}" for letter in "gn" for number in range(1, patients + 1)]
    for seed, name in enumerate([*names, "V0001", "V0002", "T0001", "T0002"]):
        picture, disc, cup = fundus(seed)
        diagnosis = {"g": "Glaucoma", "n": "Non-Glaucoma"}.get(name[0], "")
        images, masks = {
            "V": ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks"),
            "T": ("Test400", "REFUGE-Test-GT/Disc_Cup_Masks/G"),
        }.get(name[0], (f"Training400/{diagnosis}", f"Annotation-Training400/Disc_Cup_Masks/{diagnosis}"))
        for part in (images, masks):
            (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / images / f"{name}.jpg", quality=95)
        grey = np.where(cup, 0, np.where(disc, 128, 255)).astype(np.uint8)
        Image.fromarray(grey).save(folder / masks / f"{name}.bmp")
    return folder


def write_refuge_raters(folder: Path, photographs: int = 4) -> Path:
    """Medical-SAM2's folders: seven raters, of whom three draw the cup one pixel to the right."""
    for number in range(1, photographs + 2):
        part = "Test-400" if number > photographs else "Training-400"
        name = f"{number:04d}"
        place = folder / part / name
        place.mkdir(parents=True)
        picture, _, cup = fundus(number)
        Image.fromarray(picture).save(place / f"{name}_cropped.jpg", quality=95)
        for rater in range(1, 8):
            drawn = np.roll(cup, 1, axis=1) if rater > 4 else cup
            Image.fromarray((drawn * 255).astype(np.uint8)).save(
                place / f"{name}_seg_cup_{rater}_cropped.jpg", quality=95
            )
    return folder


def write_folder(folder: Path, patients: int = 5) -> Path:
    """Somebody's volumes: two visits a patient in images, masks of 0 and 255 of all but the last patient."""
    for number in range(1, patients + 1):
        for visit in "ab":
            mask = blobs(10 * number + ord(visit), (32, 32, 5), 1)
            save(folder / "images" / f"p{number}_{visit}.nii.gz", hounsfield(number, mask), (1.0, 1.0, 4.0))
            if number < patients:
                save(folder / "masks" / f"p{number}_{visit}_mask.nii.gz", mask * np.uint8(255), (1.0, 1.0, 4.0))
    return folder


def write_pictures(folder: Path, photographs: int = 6) -> Path:
    """Somebody's colour pictures, with masks side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, photographs + 1):
        picture, disc, cup = fundus(number)
        Image.fromarray(picture).save(folder / f"eye{number}.png")
        Image.fromarray((disc * 1 + cup * 1).astype(np.uint8)).save(folder / f"eye{number}_mask.png")
    return folder


def write_ssl4mis(folder: Path, patients: int = 4, shape: tuple[int, int, int] = (32, 24, 5)) -> Path:
    """SSL4MIS's data/ACDC: volumes, single slices and lists; the first patients are test and validation."""
    (folder / "data" / "slices").mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": [], "train_slices": []}
    for number in range(1, patients + 1):
        side = {1: "test", 2: "val"}.get(number, "train")
        for frame in (1, 12):
            name, mask = f"patient{number:03d}_frame{frame:02d}", blobs(number + frame, shape, 3)
            image = np.random.default_rng(number).uniform(0, 0.2, shape) + mask / 4
            with h5py.File(folder / "data" / f"{name}.h5", "w") as file:
                file["image"], file["label"] = image.T.astype(np.float32), mask.T
            with h5py.File(folder / "data" / "slices" / f"{name}_slice_1.h5", "w") as file:
                file["image"], file["label"] = image[..., 0].T, mask[..., 0].T
            lists[side].append(name)
            lists["train_slices"] += [f"{name}_slice_1"] if side == "train" else []
    for name, lines in lists.items():
        (folder / f"{name}.list").write_text("\n".join(lines) + "\n")
    return folder


def write_decathlon(folder: Path, cases: int = 4) -> Path:
    """A Decathlon task of two modalities in one file, like Task05_Prostate."""
    for number in range(cases):
        mask = blobs(number, (24, 24, 4), 2)
        both = np.stack([resonance(number, mask), resonance(number + 50, mask)], 3)
        part = folder / "imagesTr" / f"prostate_{number:02d}.nii.gz"
        save(part, both, (0.6, 0.6, 4.0))
        save(folder / "labelsTr" / part.name, mask, (0.6, 0.6, 4.0))
    description = {
        "name": "PROSTATE", "licence": "CC-BY-SA 4.0", "reference": "Radboud University",
        "modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": cases, "numTest": 0, "training": [], "test": [],
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def write_series(
    folder: Path, pixels: np.ndarray, affine: np.ndarray, *, patient: str, number: int, modality: str = "CT"
) -> list[Path]:
    """A DICOM series of voxels (columns, rows, slices), stored with slope 2 and intercept −1024, in shuffled files.

    `affine` is (4, 4), voxel to mm in LPS, with a right angle between the axes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, order = generate_uid(), np.random.default_rng(number).permutation(pixels.shape[2])
    files = []
    for index, z in enumerate(order):
        one = pydicom.Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        one.PatientID, one.SeriesInstanceUID, one.SeriesNumber, one.Modality = patient, series, number, modality
        one.PatientName, one.StudyDate = "Never^Existed", "20200101"
        columns, rows, _ = np.linalg.norm(affine[:3, :3], axis=0)
        one.PixelSpacing = [float(rows), float(columns)]
        one.ImageOrientationPatient = [*(affine[:3, 0] / columns), *(affine[:3, 1] / rows)]
        one.ImagePositionPatient = list(affine[:3] @ [0, 0, z, 1])
        one.SliceThickness = 1.0
        one.Columns, one.Rows = pixels.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.RescaleSlope, one.RescaleIntercept = "2", "-1024"
        one.PixelData = np.ascontiguousarray((pixels[..., z].T + 1024) // 2).astype("<u2").tobytes()
        files.append(folder / f"IM{index:04d}")
        one.save_as(files[-1], enforce_file_format=True)
    return files


def oblique() -> np.ndarray:
    """An affine (LPS, mm) of unequal spacings, turned about two axes."""
    a, b = np.deg2rad([20.0, 35.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([0.5, 0.75, 3.0])
    affine[:3, 3] = (-40.0, 12.5, 100.0)
    return affine


def write_dicom(folder: Path, patients: int = 4) -> Path:
    """A series a patient, and, in ``drawn``, masks of all but the last."""
    for number in range(1, patients + 1):
        mask = blobs(10 * number, (24, 20, 5), 1)
        voxels, name = hounsfield(number, mask) // 2 * 2, f"P{number}"
        write_series(folder / "export" / name, voxels, oblique(), patient=name, number=3)
        if number < patients:
            affine = np.diag([-1.0, -1, 1, 1]) @ oblique()
            path = folder / "drawn" / f"P{number}_3.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(mask, affine), path)
    return folder


SAMPLES: dict[str, Callable[[Path], Path]] = {
    "bhsd": write_bhsd,
    "btcv": write_btcv,
    "btcv-slices": write_btcv_slices,
    "decathlon": write_decathlon,
    "dicom": write_dicom,
    "folder": write_folder,
    "pictures": write_pictures,
    "refuge": write_refuge,
    "refuge-raters": write_refuge_raters,
    "ssl4mis": write_ssl4mis,
}

if __name__ == "__main__":
    print(SAMPLES[sys.argv[1]](Path(sys.argv[2])))
