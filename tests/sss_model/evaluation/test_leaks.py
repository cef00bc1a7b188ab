"""An evaluation refuses whom and what the checkpoint saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sss_model.checkpoint import Images, Meta, load_checkpoint
from sss_model.errors import InputError
from sss_model.evaluation.leaks import check_evaluable, leak_check


@pytest.fixture
def meta(checkpoint) -> Meta:
    return load_checkpoint(checkpoint).meta


def with_patients(meta: Meta, **patients) -> Meta:
    return meta.model_copy(update={"patients": meta.patients.model_copy(update=patients)})


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_test_patients_that_training_saw_are_refused_by_name(meta, manifest, role):
    cases = manifest.split("test")
    seen = with_patients(meta, **{role: [cases[0].patient, "someone else"]})
    with pytest.raises(InputError, match=rf"saw {cases[0].patient} as {role} patients"):
        check_evaluable(seen, manifest.labels, cases, split="test")


def test_validation_patients_may_be_scored_as_validation_patients_only(meta, manifest):
    cases = manifest.split("val")
    check_evaluable(meta, manifest.labels, cases, split="val")
    with pytest.raises(InputError, match="as validation patients"):
        check_evaluable(meta, manifest.labels, cases, split="test")


def test_training_patients_are_refused_whatever_the_split(meta, manifest):
    with pytest.raises(InputError, match="as labelled patients"):
        check_evaluable(meta, manifest.labels, manifest.split("train"), split="val")


def test_a_checkpoint_of_other_classes_is_refused(meta, manifest):
    with pytest.raises(InputError, match=r"its classes are .*; expected the data's, .*liver"):
        check_evaluable(meta, {"background": 0, "liver": 1}, manifest.split("test"), split="test")


def test_a_case_without_a_label_is_refused_by_name(meta, manifest):
    first, *others = manifest.split("test")
    with pytest.raises(InputError, match=f"no label for {first.case};"):
        check_evaluable(meta, manifest.labels, [replace(first, label=None), *others], split="test")


def test_a_split_without_cases_is_refused(meta, manifest):
    with pytest.raises(InputError, match="split holdout: no cases"):
        check_evaluable(meta, manifest.labels, manifest.split("holdout"), split="holdout")


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_an_image_that_training_saw_is_refused_under_any_name(meta, manifest, role):
    first, *others = manifest.split("test")
    seen = meta.images.model_copy(update={role: [first.image_sha256]})
    renamed = replace(first, case="somebody", patient="somebody new")
    with pytest.raises(InputError, match=rf"saw the images of somebody, under whatever names, as {role} images"):
        check_evaluable(meta.model_copy(update={"images": seen}), manifest.labels, [renamed, *others], split="test")


def test_a_checkpoint_knows_the_images_that_it_saw_and_no_others(meta, manifest):
    of = {split: {case.image_sha256 for case in manifest.split(split)} for split in ("train", "val", "test")}
    assert set(meta.images.unlabelled) == of["train"]
    assert set(meta.images.labelled) < of["train"]
    assert set(meta.images.validation) == of["val"]


def test_validation_images_may_be_scored_as_validation_images_only(meta, manifest):
    strangers = [replace(case, patient=f"new {case.patient}") for case in manifest.split("val")]
    check_evaluable(meta, manifest.labels, strangers, split="val")
    with pytest.raises(InputError, match="as validation images"):
        check_evaluable(meta, manifest.labels, strangers, split="test")


def test_an_older_checkpoint_is_matched_by_patient_and_says_so(meta, manifest):
    older = meta.model_copy(update={"images": None})
    check_evaluable(older, manifest.labels, manifest.split("test"), split="test")
    assert leak_check(older) == "patients alone: the checkpoint holds no hashes of images"
    assert leak_check(older.model_copy(update={"images": Images(labelled=[], unlabelled=[], validation=[])})) == (
        "patients and images"
    )
    with pytest.raises(InputError, match="as labelled patients"):
        check_evaluable(older, manifest.labels, manifest.split("train"), split="test")
