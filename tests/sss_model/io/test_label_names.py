"""What a mask's numbers mean, in the words of three programs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from sss_model.errors import InputError
from sss_model.io.label_names import class_colour, write_label_names

LABELS = {"background": 0, "right ventricle": 1, 'the "LV"': 2}


def rows(path: Path) -> list[list[str]]:
    return [shlex.split(line) for line in path.read_text().splitlines() if not line.startswith("#")]


def test_itk_snap_reads_number_colour_three_flags_and_name(tmp_path: Path) -> None:
    write_label_names(tmp_path, LABELS)
    clear, first, second = rows(tmp_path / "labels.txt")
    assert clear == ["0", "0", "0", "0", "0", "0", "0", "background"]
    assert [len(row) for row in (first, second)] == [8, 8]
    assert "#{:02X}{:02X}{:02X}".format(*map(int, first[1:4])) == class_colour(1)
    assert first[4:] == ["1", "1", "1", "right ventricle"]
    assert second[-1] == "the 'LV'"


def test_slicer_reads_number_name_without_blanks_and_colour(tmp_path: Path) -> None:
    write_label_names(tmp_path, {"background": 0, "right ventricle": 1})
    lines = [line.split() for line in (tmp_path / "labels.ctbl").read_text().splitlines() if line[0] != "#"]
    assert lines[0] == ["0", "background", "0", "0", "0", "0"]
    assert lines[1][:2] == ["1", "right_ventricle"]
    assert lines[1][-1] == "255"
    assert len(lines[1]) == 6


def test_nnu_net_reads_dataset_json(tmp_path: Path) -> None:
    write_label_names(tmp_path, LABELS, file_ending=".png")
    assert json.loads((tmp_path / "dataset.json").read_text()) == {"labels": LABELS, "file_ending": ".png"}


def test_a_data_sets_own_description_stays_and_one_of_other_labels_refuses(tmp_path: Path) -> None:
    description = tmp_path / "dataset.json"
    description.write_text(json.dumps({"labels": LABELS, "numTraining": 7}))
    before = description.read_bytes()
    write_label_names(tmp_path, LABELS)
    assert description.read_bytes() == before
    with pytest.raises(InputError, match=r"dataset.json: its labels are .*; expected {'background': 0, 'tumour': 1}"):
        write_label_names(tmp_path, {"background": 0, "tumour": 1})
    description.write_text("[]")
    with pytest.raises(InputError, match="its labels are None"):
        write_label_names(tmp_path, LABELS)
