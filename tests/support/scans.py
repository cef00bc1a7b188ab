"""Small scans and data sets, made with nibabel alone; masks, and what a viewer does to them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

LABELS = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}


def write_nifti(path: Path, array: np.ndarray, *, affine: np.ndarray | None = None, zooms=(1.5, 1.5, 8.0)) -> Path:
    """A file whose affine, like ACDC's, carries no spacing: that is in the zooms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, np.diag([-1.0, -1, 1, 1]) if affine is None else affine)
    image.header.set_zooms(zooms)
    nib.save(image, path)
    return path


def intensities(seed: int, shape=(8, 6, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)


def structures(seed: int, shape=(8, 6, 4)) -> np.ndarray:
    """A label map in which every class of `LABELS` appears."""
    return np.random.default_rng(seed).permutation(np.arange(np.prod(shape)) % 4).reshape(shape).astype(np.uint8)


def write_acdc(folder: Path, patients: dict[str, str], frames=(1, 12)) -> Path:
    """ACDC's official tree with the given patients and their groups."""
    for number, (patient, group) in enumerate(patients.items()):
        (folder / patient).mkdir(parents=True)
        (folder / patient / "Info.cfg").write_text(f"ED: 1\nES: 12\nGroup: {group}\nHeight: 184.0\n")
        for frame in frames:
            stem = folder / patient / f"{patient}_frame{frame:02d}"
            write_nifti(stem.with_name(f"{stem.name}.nii.gz"), intensities(100 * number + frame))
            write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), structures(100 * number + frame))
    return folder


def write_canonical(folder: Path, sides=("train", "train", "train", "val", "test"), *, unlabelled=()) -> Path:
    """A canonical data set: patient p0, p1, …, one a side, each with the cases p0_a and p0_b."""
    rows, order = ["case,patient,group,split,label_order"], 0
    for number, split in enumerate(sides):
        part = "Ts" if split == "test" else "Tr"
        for letter, seed in (("a", 10 * number), ("b", 10 * number + 1)):
            case = f"p{number}_{letter}"
            write_nifti(folder / f"images{part}" / f"{case}_0000.nii.gz", intensities(seed))
            if f"p{number}" not in unlabelled:
                write_nifti(folder / f"labels{part}" / f"{case}.nii.gz", structures(seed))
            rows.append(f"{case},p{number},g{number % 2},{split},{order if split == 'train' else ''}")
        order += split == "train"
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "channel_names": {"0": "MRI"}, "labels": LABELS, "numTraining": len(rows), "file_ending": ".nii.gz"
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    (folder / "splits.csv").write_text("\n".join(rows) + "\n")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def blob(seed: int, shape=(9, 8, 6)) -> np.ndarray:
    """A few overlapping boxes; some touch the border."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(3):
        start = [rng.integers(0, length - 2) for length in shape]
        mask[tuple(slice(first, first + rng.integers(2, 5)) for first in start)] = True
    return mask


def directed_distances(start: np.ndarray, end: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> np.ndarray:
    """From each surface voxel of `start` the distance to the nearest one of `end`."""
    here, there = (np.array(_surface(mask)) * spacing for mask in (start, end))
    return np.array([min(np.linalg.norm(there - point, axis=1)) for point in here])


def _surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    inside = {tuple(int(index) for index in voxel) for voxel in np.argwhere(mask)}
    steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    return [v for v in inside if any(tuple(np.add(v, step).tolist()) not in inside for step in steps)]


def redraw(path: Path, *, voxels: int = 5, dtype: type = np.uint8, affine: np.ndarray | None = None) -> None:
    """Save a mask as a viewer does, some background voxels drawn as class 1."""
    image = nib.load(path)
    array = np.asarray(image.dataobj).copy()
    free = np.argwhere(array == 0)[:voxels]
    array[tuple(free.T)] = 1
    saved = nib.Nifti1Image(array.astype(dtype), image.affine if affine is None else affine)
    saved.header.set_zooms(image.header.get_zooms())
    nib.save(saved, path)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, and its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
