"""Import corrected masks as labels of the data set, all or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from sss_model.corrections.record import PREDICTED, TABLE, Export, Exported, read_cases, read_export
from sss_model.data.canonical import Dataset, load_description, open_dataset
from sss_model.data.manifest import count_voxels
from sss_model.data.splits import Assignment, write_splits
from sss_model.data.staging import replacing, restore_replaced
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically
from sss_model.io.tables import cells_of, columns_of, parse_row, table_bytes
from sss_model.io.volumes import SourceGrid, Volume, on_source_grid, read_label, read_volume, write_volume

_TOLERANCE = 0.1
"""Distance allowed between a mask's and its scan's voxels, relative to the smallest voxel side (float32 headers)."""


@dataclass(frozen=True)
class Correction:
    """A label that came from a model's mask: a row of the data set's own ``corrections.csv``.

    Attributes:
        status: ``corrected``, or ``confirmed`` where no voxel differs from the model's mask.
        changed_voxels: how many differ.
        label_sha256, predicted_sha256, image_sha256: of the label, of the model's mask as it was exported, of the scan.
        exported, imported: when, UTC.
    """

    case: str
    patient: str
    status: str
    changed_voxels: int
    label_sha256: str
    predicted_sha256: str
    image_sha256: str
    model_weights_sha256: str
    model_method: str
    model_data_version: str
    model_git_revision: str
    exported: str
    imported: str


@dataclass(frozen=True)
class Imported:
    """The result of `import_corrections`.

    Attributes:
        added: labels that are new or were corrected once more.
        as_before: cases whose label is the data set's already.
        left: cases that are neither changed nor marked as done, or marked as not finished.
        labelled_before, labelled_now: training patients with a label.
    """

    dataset: Path
    added: tuple[Correction, ...]
    as_before: tuple[str, ...]
    left: tuple[str, ...]
    labelled_before: int
    labelled_now: int


def import_corrections(
    folder: Path, data_dir: Path, *, check: Callable[[Path, Sequence[str]], None] = lambda *_: None
) -> Imported:
    """Import the masks of an export that were saved since, or are marked as done, into their data set.

    Importing the same folder again changes nothing; a mask that was corrected once more replaces its label.

    Args:
        folder: what `sss_model.corrections.export` wrote, with corrected masks.
        data_dir: the data set, whose new labels, ``splits.csv``, ``dataset.json`` and ``corrections.csv`` appear
            together.
        check: called with a folder that holds the data set as it is going to be, and the cases with new labels; what it
            raises ends the import.

    Raises:
        InputError: nothing was corrected, other classes, a case of a validation or test patient, one that has a label
            from elsewhere, another scan than was exported, or a mask that can't be read, lies on another grid or holds
            unknown values.
    """
    restore_replaced(data_dir)
    dataset, export = open_dataset(data_dir), read_export(folder)
    if export.origin.labels != dataset.labels:
        raise InputError(f"{folder}: its classes are {export.origin.labels}; expected the data's, {dataset.labels}")
    taken = [row for row in export.rows if _is_taken(row, folder)]
    if not taken:
        raise InputError(
            f"{folder}: no mask was saved since the export, and no row of {TABLE} says yes under done; "
            "expected at least one corrected mask"
        )
    past = {one.case: one for one in read_corrections(data_dir)}
    _check_cases(taken, dataset, past)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    with replacing(data_dir) as staged:
        made = [_write_label(row, export, dataset, staged, when) for row in taken]
        added = tuple(one for one in made if one.case not in past or past[one.case].label_sha256 != one.label_sha256)
        if added:
            _write_tables(dataset, staged, past, added)
            check(staged, [one.case for one in added])
    now = open_dataset(data_dir)
    return Imported(
        dataset=data_dir,
        added=added,
        as_before=tuple(one.case for one in made if one not in added),
        left=tuple(row.case for row in export.rows if row not in taken),
        labelled_before=len(_labelled_patients(dataset)),
        labelled_now=len(_labelled_patients(now)),
    )


def read_corrections(data_dir: Path) -> list[Correction]:
    """List the labels of a data set that came from a model's masks."""
    path = data_dir / TABLE
    if not path.exists():
        return []
    expected = "it as sss import corrections wrote it"
    return [parse_row(Correction, line, expected=expected) for line in read_cases(path, _COLUMNS)]


_COLUMNS = columns_of(Correction)


def _is_taken(row: Exported, folder: Path) -> bool:
    if row.verdict is not None:
        return row.verdict
    mask = folder / row.mask
    if not mask.is_file():
        raise InputError(f"{mask}: no such file; expected the mask of case {row.case}, or no under done in {TABLE}")
    return sha256(mask) != row.mask_sha256


def _check_cases(taken: Sequence[Exported], dataset: Dataset, past: dict[str, Correction]) -> None:
    rows_by_case = {row.case: row for row in dataset.splits}
    files = {one.case: one for one in dataset.cases}
    gone = [row.case for row in taken if row.case not in rows_by_case]
    if gone:
        raise InputError(f"{dataset.folder}: has no cases {', '.join(gone)}; expected the data set of the export")
    held_out = [
        f"{row.case} ({rows_by_case[row.case].split})" for row in taken if rows_by_case[row.case].split != "train"
    ]
    if held_out:
        raise InputError(
            f"{dataset.folder}: cases {', '.join(held_out)} are of validation or test patients; "
            "expected training patients: a model must not be judged by labels that it drew"
        )
    for row in taken:
        image, label = files[row.case].image, files[row.case].label
        if sha256(image) != row.image_sha256:
            raise InputError(f"case {row.case}: {image} is another scan than was exported; expected the same file")
        if label and (row.case not in past or sha256(label) != past[row.case].label_sha256):
            raise InputError(f"case {row.case}: has the label {label} from elsewhere; expected a case without one")


def _write_label(row: Exported, export: Export, dataset: Dataset, staged: Path, when: str) -> Correction:
    image = next(files.image for files in dataset.cases if files.case == row.case)
    scan = read_volume(image, row.case)
    mask = _mask(export.folder / row.mask, scan, dataset)
    predicted = export.folder / PREDICTED / row.mask
    if not predicted.is_file() or sha256(predicted) != row.mask_sha256:
        raise InputError(f"{predicted}: not the mask that was exported; expected it unchanged, to compare with")
    changed = int(np.count_nonzero(mask.array != _mask(predicted, scan, dataset).array))
    label = staged / "labelsTr" / f"{row.case}{dataset.file_ending}"
    write_volume(mask, label)
    origin = export.origin
    return Correction(
        case=row.case,
        patient=next(place.patient for place in dataset.splits if place.case == row.case),
        status="corrected" if changed else "confirmed",
        changed_voxels=changed,
        label_sha256=sha256(label),
        predicted_sha256=row.mask_sha256,
        image_sha256=row.image_sha256,
        model_weights_sha256=origin.model_weights_sha256,
        model_method=origin.model_method,
        model_data_version=origin.model_data_version,
        model_git_revision=origin.model_git_revision or "",
        exported=origin.exported,
        imported=when,
    )


def _mask(path: Path, scan: Volume, dataset: Dataset) -> Volume:
    mask = _on_grid_of(scan, read_label(path, scan.case_id), str(path))
    count_voxels(mask, dataset.labels, where=str(path))
    return mask


def _write_tables(dataset: Dataset, staged: Path, past: dict[str, Correction], added: Sequence[Correction]) -> None:
    rows_by_case = {row.case: row for row in dataset.splits}
    labelled = [one.case for one in dataset.cases if one.label and rows_by_case[one.case].split == "train"]
    rows = _with_corrected(dataset.splits, labelled=labelled, corrected=[one.case for one in added])
    write_splits(rows, staged / "splits.csv")
    history = past | {one.case: one for one in added}
    write_atomically(staged / TABLE, table_bytes(_COLUMNS, map(cells_of, history.values())))
    # nnU-Net passes over keys that it doesn't know.
    description = load_description(staged) | {"corrections": TABLE}
    write_atomically(staged / "dataset.json", (json.dumps(description, indent=2) + "\n").encode())


def _labelled_patients(dataset: Dataset) -> set[str]:
    labelled = {one.case for one in dataset.cases if one.label}
    return {row.patient for row in dataset.splits if row.split == "train" and row.case in labelled}


def _on_grid_of(scan: Volume, mask: Volume, where: str) -> Volume:
    """Bring a viewer's mask back onto its scan's grid and header.

    Viewers write their own headers: axes in another order, the voxel size in an affine that had none, a position for a
    scan that had none. So positions of voxels are compared, not header fields.

    Args:
        where: opens the error message.

    Raises:
        InputError: another shape or voxel size, or voxels that lie elsewhere.
    """
    # Programs invent a position for a scan without one; only the storage order of voxels counts then.
    unplaced_scan = not int(scan.source.header["sform_code"]) and not int(scan.source.header["qform_code"])
    array = apply_orientation(on_source_grid(mask), io_orientation(scan.source.affine)) if unplaced_scan else mask.array
    spacing = _turned(mask.source.spacing, scan) if unplaced_scan else mask.spacing
    if array.shape != scan.array.shape:
        found, expected = ("x".join(map(str, volume.source.shape)) for volume in (mask, scan))
        raise InputError(f"{where}: shape {found}; expected that of its scan, {expected}")
    if not np.allclose(spacing, scan.spacing, rtol=1e-3):
        raise InputError(
            f"{where}: voxels of {_millimetres(spacing)}; expected its scan's, {_millimetres(scan.spacing)}"
        )
    apart = 0.0 if unplaced_scan else float(np.linalg.norm(_corners(mask.source) - _corners(scan.source), axis=1).max())
    if apart > _TOLERANCE * min(scan.spacing):
        raise InputError(f"{where}: lies up to {apart:.3g} mm from its scan's voxels; expected the same grid")
    return scan.like(np.ascontiguousarray(array))


def _turned(spacing: tuple[float, ...], scan: Volume) -> list[float]:
    turned = np.empty(3)
    turned[io_orientation(scan.source.affine)[:, 0].astype(int)] = spacing
    return [float(side) for side in turned]


def _corners(source: SourceGrid) -> np.ndarray:
    """Where the corner voxels of the canonical array lie: (8, 3), in mm."""
    first_zoom = float(source.header.get_zooms()[0])
    placed = source.affine.copy()
    placed[:3, :3] *= np.asarray(source.spacing) / np.linalg.norm(placed[:3, :3], axis=0)
    placed[:3, 3] *= source.spacing[0] / first_zoom
    orientation = io_orientation(source.affine)
    canonical = placed @ inv_ornt_aff(orientation, source.shape)
    ends = np.empty(3)
    ends[orientation[:, 0].astype(int)] = np.asarray(source.shape) - 1
    corners = np.array([[*(ends * place), 1.0] for place in product((0, 1), repeat=3)])
    return (corners @ canonical.T)[:, :3]


def _millimetres(sides: tuple[float, ...] | list[float]) -> str:
    return " x ".join(f"{side:.4g}" for side in sides) + " mm"


def _with_corrected(
    rows: Sequence[Assignment], *, labelled: Collection[str], corrected: Sequence[str]
) -> list[Assignment]:
    """Rows of ``splits.csv`` with corrected patients last in label order.

    So the first patients in label order, which ``data.labelled`` counts, stay the same.

    Args:
        rows: all of them.
        labelled: training cases that have a label already.
        corrected: training cases that get one, in the order in which their patients are to join.
    """
    of_case = {row.case: row for row in rows}
    before = {of_case[case].patient: of_case[case].label_order for case in sorted(labelled)}
    new = list(dict.fromkeys(of_case[case].patient for case in corrected if of_case[case].patient not in before))
    if not new:
        return list(rows)
    # Patients without a label order come last, by name; a number keeps them before those who join now.
    unplaced = sorted(patient for patient, order in before.items() if order is None)
    free = 1 + max((row.label_order for row in rows if row.label_order is not None), default=-1)
    orders = {patient: free + number for number, patient in enumerate([*unplaced, *new])}
    return [replace(row, label_order=orders.get(row.patient, row.label_order)) for row in rows]
