"""Who may judge: test patients that neither model saw, under whatever name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sss_model.checkpoint import Meta, load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_ops.registry.promotion import unseen_cases


@pytest.fixture
def meta(checkpoint: Path) -> Meta:
    return load_checkpoint(checkpoint).meta


def saw(meta: Meta, **patients: list[str]) -> Meta:
    return meta.model_copy(update={"patients": meta.patients.model_copy(update=patients)})


def test_all_test_patients_that_are_new_to_both(meta: Meta, manifest: Manifest) -> None:
    test = manifest.split("test")
    assert unseen_cases(manifest, {"version 1": meta, "version 2": meta}, least=1) == test


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_a_patient_that_one_of_them_saw_is_left_out_and_listed(meta: Meta, manifest: Manifest, role: str) -> None:
    patients = sorted({case.patient for case in manifest.split("test")})
    seen = saw(meta, **{role: patients[:1]})
    with pytest.raises(InputError) as caught:
        unseen_cases(manifest, {"version 1": seen, "version 2": meta}, least=len(patients))
    sentence = str(caught.value)
    assert f"{patients[0]} (version 1 saw the patient as {role})" in sentence
    assert f"expected at least {len(patients)} (promotion.min_patients)" in sentence
    assert sentence.startswith(f"test patients that neither model saw: {len(patients) - 1} (")


def test_an_image_under_another_name_takes_its_whole_patient_out(meta: Meta, manifest: Manifest) -> None:
    (first, *_) = manifest.split("test")
    assert meta.images
    known = meta.model_copy(update={"images": meta.images.model_copy(update={"unlabelled": [first.image_sha256]})})
    with pytest.raises(InputError, match=rf"{first.patient} \(version 2 saw the same image under another name\)"):
        unseen_cases(manifest, {"version 1": meta, "version 2": known}, least=20)
    others = {case.patient for case in manifest.split("test")} - {first.patient}
    if others:
        left = unseen_cases(manifest, {"version 1": meta, "version 2": known}, least=1)
        assert {case.patient for case in left} == others


def test_scans_without_a_label_judge_nothing(meta: Meta, manifest: Manifest) -> None:
    bare = Manifest(tuple(replace(case, labelled=False) for case in manifest.cases), manifest.labels)
    with pytest.raises(InputError, match="neither model saw: 0; expected at least 1"):
        unseen_cases(bare, {"version 1": meta}, least=1)


def test_a_checkpoint_of_an_older_make_is_known_by_its_patients_alone(meta: Meta, manifest: Manifest) -> None:
    older = meta.model_copy(update={"images": None})
    assert unseen_cases(manifest, {"version 1": older}, least=1) == manifest.split("test")
