from __future__ import annotations

from collections import Counter

import pytest

from sss_model.data.splits import PatientSplit, listed_splits, seeded_splits
from sss_model.errors import InputError

GROUPS = {f"patient{number:03d}": ["DCM", "HCM", "MINF", "NOR", "RV"][number % 5] for number in range(1, 101)}


def by_split(places: dict[str, PatientSplit]) -> dict[str, list[str]]:
    ordered = sorted(places, key=lambda patient: (places[patient].label_order or 0, patient))
    return {split: [name for name in ordered if places[name].split == split] for split in ("train", "val", "test")}


def test_every_side_has_its_share_of_every_group():
    sides = by_split(seeded_splits(GROUPS, seed=0))
    assert {split: set(Counter(GROUPS[name] for name in names).values()) for split, names in sides.items()} == {
        "train": {14}, "val": {2}, "test": {4}
    }  # fmt: skip


def test_the_first_patients_in_the_queue_represent_every_group():
    places = seeded_splits(GROUPS, seed=3)
    queue = by_split(places)["train"]
    assert [places[patient].label_order for patient in queue] == list(range(70))
    assert {GROUPS[patient] for patient in queue[:5]} == set(GROUPS.values())
    assert set(Counter(GROUPS[patient] for patient in queue[:10]).values()) == {2}


def test_a_seed_gives_the_same_splits_in_any_order_and_another_seed_others():
    backwards = dict(reversed(GROUPS.items()))
    assert seeded_splits(GROUPS, seed=1) == seeded_splits(backwards, seed=1)
    assert seeded_splits(GROUPS, seed=1) != seeded_splits(GROUPS, seed=2)


def test_splits_are_the_same_on_every_machine():
    assert by_split(seeded_splits({name: "" for name in "abcdefghij"}, seed=0)) == {
        "train": list("jhbfacd"), "val": ["g"], "test": list("ei")
    }  # fmt: skip


@pytest.mark.parametrize("patients", [3, 4, 5, 8])
def test_few_patients_still_fill_every_side(patients):
    sides = by_split(seeded_splits({str(number): "" for number in range(patients)}, seed=0))
    assert all(sides.values())
    assert sum(map(len, sides.values())) == patients


def test_fewer_patients_than_sides_are_refused():
    with pytest.raises(InputError, match="2 labelled patients; expected at least 3"):
        seeded_splits({"a": "", "b": ""}, seed=0)


def lists(folder, prefix="", **changes):
    lines = {
        "train": "patient03_frame01\npatient03_frame02\npatient01_frame01\n",
        "val": "patient02_frame01\n",
        "test": "patient04_frame02\n",
        "train_slices": "patient03_frame01_slice_2\npatient03_frame01_slice_1\npatient01_frame02_slice_1\n",
    }
    for name, text in (lines | changes).items():
        (folder / f"{prefix}{name}.list").write_text(text)
    return folder


@pytest.mark.parametrize("prefix", ["", "ssl4mis_"])
def test_the_literatures_lists_give_sides_and_the_slices_the_queue(tmp_path, prefix):
    assert listed_splits(lists(tmp_path, prefix)) == {
        "patient03": PatientSplit("train", 0),
        "patient01": PatientSplit("train", 1),
        "patient02": PatientSplit("val"),
        "patient04": PatientSplit("test"),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"val": "patient04_frame01\n"}, "patient patient04 is in val and test"),
        ({"val": "subject 4\n"}, "val.list: a line that names no patient"),
        ({"val": ""}, "val.list: a line that names no patient"),
        ({"train_slices": "patient03_frame01_slice_2\n"}, "patient patient01 is in one of train.list"),
        ({"train_slices": "patient02_frame01_slice_2\n"}, "patient patient01 is in one of train.list"),
    ],
)
def test_lists_that_contradict_each_other_are_refused(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        listed_splits(lists(tmp_path, **changes))


def test_a_missing_list_is_refused(tmp_path):
    (lists(tmp_path) / "test.list").unlink()
    with pytest.raises(InputError, match=r"no test\.list; expected SSL4MIS's lists"):
        listed_splits(tmp_path)
