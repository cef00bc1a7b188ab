"""Export scans and the model's masks for correction in a viewer, with a table to mark what is done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sss_model.checkpoint import Meta
from sss_model.corrections.record import ORIGIN, PREDICTED, TABLE, Export, Exported, Origin, read_cases, write_export
from sss_model.data.canonical import CaseFiles, Dataset, open_dataset
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically
from sss_model.inference.predictor import Predictor
from sss_model.io.label_names import SLICER, SNAP, write_label_names
from sss_model.io.volumes import read_volume, write_volume

_README = f"""\
Scans and the masks that a model drew on them, to be looked at and corrected.

ITK-SNAP   Open CASE{{ending}} as the main image and CASE_mask{{ending}} as its segmentation. The structures' names are
           in {SNAP} (Segmentation > Import Label Descriptions).
3D Slicer  Add both files, CASE_mask{{ending}} as a LabelMap, with the names in {SLICER}; convert it to a segmentation.

Save the corrected mask under its own name, in the same format, on the same grid.
A mask that is right as it is: write yes into the column done of {TABLE}.
A mask that is not finished: write no there. What is neither saved nor marked is left out.

Leave {ORIGIN} and the folder {PREDICTED} as they are: they hold what the model drew.
"""


def export_corrections(
    checkpoint: Path,
    data_dir: Path,
    output: Path,
    *,
    cases: Sequence[str] | None = None,
    count: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Export:
    """Segment unlabelled training scans and write them for a viewer, whole or not at all.

    Args:
        checkpoint: a checkpoint's folder.
        data_dir: a data set in the canonical layout.
        output: the new folder, absent or empty.
        cases: which scans, in this order; None for all unlabelled ones of training patients, by name.
        count: how many of them at most.
        tell: called with a line for each scan that is done.

    Raises:
        InputError: no such case, one with a label or of a validation or test patient, a checkpoint of other classes,
            or an output in the way.
    """
    dataset = open_dataset(data_dir)
    chosen = _chosen(dataset, cases)[:count]
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: already holds something; expected a new folder")
    predictor = Predictor.load(checkpoint)
    meta = predictor.checkpoint.meta
    if meta.labels != dataset.labels:
        raise InputError(f"{checkpoint}: its classes are {meta.labels}; expected the data's, {dataset.labels}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name:
        staged = Path(name) / "new"
        rows = []
        for number, files in enumerate(chosen, start=1):
            rows.append(_write_case(predictor, files, _patient(dataset, files.case), dataset.file_ending, staged))
            tell(f"{files.case}, {number} of {len(chosen)}")
        write_label_names(staged, dataset.labels, file_ending=dataset.file_ending)
        write_atomically(staged / "README.txt", _README.format(ending=dataset.file_ending).encode())
        origin = _origin(meta, data_dir.resolve().name, sha256(checkpoint / "weights.pt"))
        write_export(Export(staged, origin, tuple(rows)))
        if output.exists():
            output.rmdir()
        staged.rename(output)
    return Export(output, origin, tuple(rows))


def listed_cases(path: Path) -> list[str]:
    """The column ``case`` of a CSV file; raises `InputError` where there is none, or no row."""
    cases = [line.cells["case"] for line in read_cases(path, ["case"])]
    if not cases:
        raise InputError(f"{path}: no rows; expected a case in each")
    return cases


def _chosen(dataset: Dataset, cases: Sequence[str] | None) -> list[CaseFiles]:
    known = {files.case: files for files in dataset.cases}
    training = {row.case for row in dataset.splits if row.split == "train"}
    if cases is None:
        chosen = [files for files in dataset.cases if files.case in training and files.label is None]
        if not chosen:
            raise InputError(f"{dataset.folder}: every scan of its training patients has a label; expected one without")
        return chosen
    _refuse(dataset, "are not there; expected cases of the data set", [case for case in cases if case not in known])
    held_out = [case for case in cases if case not in training]
    _refuse(dataset, "are of validation or test patients; expected training patients", held_out)
    labelled = [case for case in cases if known[case].label]
    _refuse(dataset, "have a label already; expected cases without one", labelled)
    return [known[case] for case in cases]


def _refuse(dataset: Dataset, why: str, cases: Sequence[str]) -> None:
    if cases:
        raise InputError(f"{dataset.folder}: cases {', '.join(cases)} {why}")


def _patient(dataset: Dataset, case: str) -> str:
    return next(row.patient for row in dataset.splits if row.case == case)


def _write_case(predictor: Predictor, files: CaseFiles, patient: str, ending: str, folder: Path) -> Exported:
    image, mask = folder / f"{files.case}{ending}", folder / f"{files.case}_mask{ending}"
    predicted = folder / PREDICTED / mask.name
    write_volume(predictor(read_volume(files.image, files.case)), predicted)
    shutil.copyfile(files.image, image)
    shutil.copyfile(predicted, mask)
    return Exported(files.case, patient, image.name, mask.name, sha256(image), sha256(mask))


def _origin(meta: Meta, dataset: str, weights_sha256: str) -> Origin:
    return Origin(
        dataset=dataset,
        labels=meta.labels,
        model_weights_sha256=weights_sha256,
        model_method=meta.method,
        model_data_version=meta.data_version,
        model_git_revision=meta.git_revision,
        exported=datetime.now(UTC).isoformat(timespec="seconds"),
    )
