"""Two versions compared by the listings of their files."""

from __future__ import annotations

import json

import pytest

from sss_model.errors import InputError
from sss_ops.data_versions.contents import Contents, contents_of, read_contents
from sss_ops.data_versions.difference import compare_contents

SPLITS = "case,patient,group,split,label_order\n"
OLD = {
    "heart/imagesTr/p1_ed_0000.nii.gz": "i1",
    "heart/imagesTr/p1_es_0000.nii.gz": "i2",
    "heart/imagesTr/p2_ed_0000.nii.gz": "i3",
    "heart/labelsTr/p1_ed.nii.gz": "l1",
    "heart/dataset.json": "d1",
    "heart/splits.csv": "p1_ed,p1,,train,0\np1_es,p1,,train,0\np2_ed,p2,,train,1\n",
}


def contents(listing: dict[str, str]) -> Contents:
    """A version in which a file of splits has its rows for a md5."""
    return contents_of(listing, lambda rows: (SPLITS + rows).encode())


def test_the_same_version_differs_in_nothing() -> None:
    difference = compare_contents(contents(OLD), contents(OLD))
    assert not (difference.cases or difference.patients or difference.others or difference.what)


def test_a_new_patient_is_added_with_the_case() -> None:
    rows = OLD["heart/splits.csv"] + "p3_ed,p3,,val,\n"
    new = OLD | {"heart/imagesTr/p3_ed_0000.nii.gz": "i4", "heart/splits.csv": rows}
    difference = compare_contents(contents(OLD), contents(new))
    assert (difference.cases.added, difference.patients.added) == (["heart/p3_ed"], ["heart/p3"])
    assert (difference.cases.counts(), difference.patients.counts()) == ("1 added, 0 changed, 0 removed",) * 2
    assert difference.others.changed == ["heart/splits.csv"]


def test_a_case_less_changes_its_patient_and_the_last_one_removes_him() -> None:
    new = {path: md5 for path, md5 in OLD.items() if "p1_es" not in path and "p2" not in path}
    difference = compare_contents(contents(OLD), contents(new))
    assert difference.cases.removed == ["heart/p1_es", "heart/p2_ed"]
    assert (difference.patients.changed, difference.patients.removed) == (["heart/p1"], ["heart/p2"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"heart/imagesTr/p1_ed_0000.nii.gz": "other"}, "image"),
        ({"heart/labelsTr/p1_ed.nii.gz": "other"}, "label"),
        ({"heart/labelsTr/p1_ed.nii.gz": None}, "label removed"),
        ({"heart/labelsTr/p1_es.nii.gz": "l2"}, "label added"),
        (
            {"heart/splits.csv": OLD["heart/splits.csv"].replace("p1,,train,0", "p1,,test,")},
            "split train → test, label",
        ),
    ],
)
def test_what_of_a_case_changed_is_told(change: dict[str, str | None], what: str) -> None:
    new = {path: md5 for path, md5 in (OLD | change).items() if md5}
    difference = compare_contents(contents(OLD), contents(new))
    assert difference.patients.changed == ["heart/p1"]
    assert all(words.startswith(what) for words in difference.what.values())
    assert difference.cases.changed == list(difference.what) != []


def test_the_tracked_folder_may_be_a_data_set_itself() -> None:
    found = contents({path.removeprefix("heart/"): md5 for path, md5 in OLD.items()})
    assert ("", "p1_ed") in found.cases
    assert found.patients == {("", "p1"), ("", "p2")}


def test_two_data_sets_may_name_their_patients_alike() -> None:
    both = OLD | {path.replace("heart", "liver"): md5 for path, md5 in OLD.items()}
    assert len(contents(both).patients) == 4


def test_without_usable_splits_cases_count_and_patients_are_unknown() -> None:
    found = contents(OLD | {"heart/splits.csv": "p1_ed,p1,,nowhere,\n"})
    assert (len(found.cases), found.patients) == (3, set())


def test_a_listing_is_read_as_dvc_writes_it() -> None:
    listing = json.dumps([{"md5": "i1", "relpath": "heart/imagesTr/p1_0000.nii"}]).encode()
    assert list(read_contents("v.dir", lambda _: listing).cases) == [("heart", "p1")]


@pytest.mark.parametrize("data", [b"", b"{}x", b"[1]", b'[{"md5": "a"}]'])
def test_another_file_is_no_listing(data: bytes) -> None:
    with pytest.raises(InputError, match=r"v\.dir: not a listing"):
        read_contents("v.dir", lambda _: data)
