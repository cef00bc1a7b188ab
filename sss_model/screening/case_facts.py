"""Everything that the gate asks of one case's files, found in one reading of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.manifest import Case, Manifest
from sss_model.parallel import for_each
from sss_model.screening.alignment import Alignment, measure_alignment
from sss_model.screening.anatomy import Structure, measure_structures
from sss_model.screening.intensities import Intensities, measure_intensities
from sss_model.screening.thumbnail import thumbnail
from sss_model.volumes import NotFiniteError, Source, Volume, read_label, read_volume


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """One file as it is now.

    Attributes:
        missing: whether it is not there.
        changed: whether its bytes are not those that the manifest names.
        unreadable, not_finite: the sentence why it can't be used; at most one of the two.
        grid: its own grid, None where it can't be used.
    """

    missing: bool = False
    changed: bool = False
    unreadable: str | None = None
    not_finite: str | None = None
    grid: Source | None = None


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """One case's files as they are now; None where they can't be read, or where there is no label.

    Attributes:
        voxels: label value to number of voxels.
        structures: by class.
        alignment: None also where image and label differ in shape, or nothing is labelled.
        thumbnail: see `screening.thumbnail`.
    """

    image: FileFacts
    label: FileFacts | None
    intensities: Intensities | None = None
    thumbnail: np.ndarray | None = None
    voxels: dict[int, int] | None = None
    structures: tuple[Structure, ...] = ()
    alignment: Alignment | None = None


def measure_cases(manifest: Manifest, data_dir: Path) -> list[CaseFacts]:
    """Read every file that the manifest names once, several cases at a time; nothing that is wrong with one raises."""
    return for_each(
        lambda case: measure_case(case, data_dir, manifest.labels), manifest.cases, description="Measuring volumes"
    )


def measure_case(case: Case, data_dir: Path, labels: dict[str, int]) -> CaseFacts:
    """Read one case's image and label; whatever is wrong with them is among the facts."""
    image_facts, image = _look(data_dir / case.image, case.image_sha256, read_volume)
    label_facts, label = None, None
    if case.label:
        label_facts, label = _look(data_dir / case.label, case.label_sha256, read_label)
    return CaseFacts(
        image=image_facts,
        label=label_facts,
        intensities=measure_intensities(image) if image else None,
        thumbnail=thumbnail(image) if image else None,
        voxels=_count(label) if label else None,
        structures=tuple(measure_structures(label, labels)) if label else (),
        alignment=_alignment(image, label),
    )


def _look(path: Path, digest: str | None, read: Callable[[Path], Volume]) -> tuple[FileFacts, Volume | None]:
    if not path.is_file():
        return FileFacts(missing=True), None
    changed = sha256(path) != digest
    try:
        volume = read(path)
    except NotFiniteError as error:
        return FileFacts(changed=changed, not_finite=str(error)), None
    except InputError as error:
        return FileFacts(changed=changed, unreadable=str(error)), None
    return FileFacts(changed=changed, grid=volume.source), volume


def _count(label: Volume) -> dict[int, int]:
    values, counts = np.unique(label.array, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _alignment(image: Volume | None, label: Volume | None) -> Alignment | None:
    if image is None or label is None or image.array.shape != label.array.shape:
        return None
    return measure_alignment(image, label)
