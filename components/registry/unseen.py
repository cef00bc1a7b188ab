"""Which scans may judge two models: those of test patients that neither ever saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sss_model.errors import InputError

if TYPE_CHECKING:
    from sss_model.checkpoint import Meta
    from sss_model.manifest import Case, Manifest


def unseen_cases(manifest: Manifest, models: Mapping[str, Meta], *, least: int) -> tuple[Case, ...]:
    """The labelled test cases of patients whom no model saw, by name or by the content of an image.

    Args:
        manifest: the data to score on.
        models: what to call a model, and what its checkpoint says of itself.
        least: patients that there must be.

    Raises:
        InputError: there are fewer; the sentence lists who is left and why the others are not.
    """
    cases = [case for case in manifest.split("test") if case.labelled]
    seen: dict[str, str] = {}
    for case in cases:
        for name, meta in models.items():
            reason = _seen_as(case, meta)
            if reason:
                seen.setdefault(case.patient, f"{case.patient} ({name} {reason})")
    left = tuple(case for case in cases if case.patient not in seen)
    patients = sorted({case.patient for case in left})
    if len(patients) < least:
        out = f", not {', '.join(seen[patient] for patient in sorted(seen))}" if seen else ""
        who = f"{len(patients)} ({', '.join(patients)}{out})" if patients or out else "0"
        raise InputError(
            f"test patients that neither model saw: {who.replace('(, ', '(')}; "
            f"expected at least {least} (gate.min_patients)"
        )
    return left


def _seen_as(case: Case, meta: Meta) -> str | None:
    for role, patients in meta.patients.model_dump().items():
        if case.patient in patients:
            return f"saw the patient as {role}"
    for images in (meta.images.model_dump() if meta.images else {}).values():
        if case.image_sha256 in images:
            return "saw the same image under another name"
    return None
