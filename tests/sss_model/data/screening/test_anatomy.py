from __future__ import annotations

import numpy as np
import pytest
from support.scans import write_nifti

from sss_model.data.screening import measure_structures
from sss_model.io.volumes import read_label

LABELS = {"background": 0, "RV": 1, "LV": 2}


@pytest.fixture
def label_map(tmp_path):
    def write(array):
        return read_label(write_nifti(tmp_path / "label.nii", array, zooms=(1.0, 2.0, 10.0)))

    return write


def test_a_structure_has_its_volume_and_one_part(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[4:8, 4:9, 1:3] = 1
    (found,) = measure_structures(label_map(array), LABELS)
    assert (found.name, found.parts, found.gap_mm) == ("RV", 1, 0)
    assert found.millilitres == pytest.approx(4 * 5 * 2 * 20 / 1000)


def test_gaps_are_millimetres_between_boxes_whichever_way(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[2:8, 2:8, 1] = 2
    array[11, 2, 1] = 2  # 3 mm on
    array[2, 12, 3] = 2  # 8 mm on, and 10 mm up
    (found,) = measure_structures(label_map(array), LABELS)
    assert found.parts == 3
    assert found.gap_mm == pytest.approx(np.hypot(8, 10))


def test_another_structure_between_parts_is_not_a_part(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[2:10, 2:10, 2] = 1
    array[10:14, 2:10, 2] = 2
    assert [(found.name, found.parts) for found in measure_structures(label_map(array), LABELS)] == [
        ("RV", 1),
        ("LV", 1),
    ]


def test_an_empty_label_map_has_no_structure(label_map):
    assert measure_structures(label_map(np.zeros((4, 4, 2), np.uint8)), LABELS) == []
