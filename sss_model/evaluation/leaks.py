"""Leak checks: no patient or image is scored that the checkpoint saw in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sss_model.checkpoint import Meta
from sss_model.data.manifest import Case
from sss_model.errors import InputError


def check_evaluable(meta: Meta, labels: Mapping[str, int], cases: Sequence[Case], *, split: str) -> None:
    """Refuse, with an `InputError`, a split that can't be scored honestly."""
    if not cases:
        raise InputError(f"split {split}: no cases in the manifest; expected at least one")
    if dict(labels) != meta.labels:
        raise InputError(f"checkpoint: its classes are {meta.labels}; expected the data's, {dict(labels)}")
    without_label = [case.case for case in cases if case.label is None]
    if without_label:
        raise InputError(f"split {split}: no label for {', '.join(without_label)}; expected one for every case")
    for sentence in leaks(meta, cases, split=split):
        raise InputError(f"split {split}: {sentence}")


def leaks(meta: Meta, cases: Sequence[Case], *, split: str) -> list[str]:
    """A sentence for each way in which the checkpoint met the cases: by patient, and by the content of an image.

    A scan under another name, or another patient's, still has the same bytes. A checkpoint without hashes of images is
    matched by patient alone: see `leak_check`.
    """
    found = []
    for role, patients in _seen(meta.patients.model_dump(), split).items():
        known = sorted({case.patient for case in cases} & set(patients))
        if known:
            found.append(f"the checkpoint saw {', '.join(known)} as {role} patients; expected patients it never saw")
    for role, images in _seen(meta.images.model_dump() if meta.images else {}, split).items():
        same = sorted(case.case for case in cases if case.image_sha256 in set(images))
        if same:
            found.append(
                f"the checkpoint saw the images of {', '.join(same)}, under whatever names, as {role} images; "
                "expected images it never saw"
            )
    return found


def leak_check(meta: Meta) -> str:
    """How a checkpoint's cases were matched, as the record says it."""
    if meta.images is None:
        return "patients alone: the checkpoint holds no hashes of images"
    if meta.origin and not meta.origin.images_known:
        return "patients and images, those that the model it started from saw by patients alone"
    return "patients and images"


def _seen(roles: dict[str, list[str]], split: str) -> dict[str, list[str]]:
    # Weights were chosen on the validation patients, so a score on them is no test; scoring them as val is its use.
    return {role: seen for role, seen in roles.items() if split != "val" or role != "validation"}
