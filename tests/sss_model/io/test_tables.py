"""CSV tables, and label names in the words of three programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from sss_model.errors import InputError
from sss_model.io.label_names import class_colour, write_label_names
from sss_model.io.tables import cells_of, columns_of, parse_row, parse_table, read_table, table_bytes


@dataclass(frozen=True)
class Row:
    case: str
    kind: str = field(metadata={"column": "class"})
    status: Literal["scored", "missed"]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    labelled: bool
    order: int | None
    dice: float | None
    counts: Mapping[str, int]


ROWS = [
    Row("a", 'left, "old"', "scored", (8, 6, 4), (1.5, 1 / 3, 10.0), True, 0, 0.1 + 0.2, {}),
    Row("b", "ä\nb", "missed", (1,), (0.7,), False, None, None, {}),
]
COLUMNS = columns_of(Row)


def test_rows_come_back_as_they_were():
    table = parse_table(table_bytes(COLUMNS, map(cells_of, ROWS)), COLUMNS, where="rows.csv", expected="rows")
    assert table.columns == ["case", "class", "status", "shape", "spacing", "labelled", "order", "dice"]
    back = [parse_row(Row, line, expected="a row", counts={}) for line in table.lines]
    assert back == [Row(**(vars(row) | {"spacing": pytest.approx(row.spacing)})) for row in ROWS]


def test_the_bytes_are_plain_csv():
    assert table_bytes(COLUMNS, map(cells_of, ROWS)).decode() == (
        "case,class,status,shape,spacing,labelled,order,dice\n"
        'a,"left, ""old""",scored,8x6x4,1.5x0.333333333x10,true,0,0.30000000000000004\n'
        'b,"ä\nb",missed,1,0.7,false,,\n'
    )


def test_missing_columns_stay_empty_and_others_are_left_out():
    assert table_bytes(["a", "b"], [{"a": 1, "c": 2}]) == b"a,b\n1,\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_saved_by_a_spreadsheet_is_read(delimiter, mark, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(mark + "case,note\r\na,x y\r\nb\r\n".replace(",", delimiter), encoding="utf-8", newline="")
    lines = read_table(path, ["case"], expected="cases").lines
    assert [line.cells for line in lines] == [{"case": "a", "note": "x y"}, {"case": "b", "note": ""}]
    assert lines[1].where == f"{path}, line 3"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"t\.csv: no such file; expected cases"),
        (b"\xff\xfe", r"t\.csv: not a CSV file in UTF-8; expected cases"),
        (b"name\na\n", r"t\.csv: no column case; expected cases"),
        (b"", r"t\.csv: no column case; expected cases"),
    ],
)
def test_what_is_no_such_table_is_refused(content, sentence, tmp_path):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_table(tmp_path / "t.csv", ["case"], expected="cases")


@pytest.mark.parametrize(
    ("old", "new", "cell"),
    [
        ("8x6x4", "8x?x4", r"shape '8x\?x4'"),
        ("true", "yes", "labelled 'yes'"),
        (",0,", ",first,", "order 'first'"),
        ("scored", "lost", "status 'lost'"),
    ],
)
def test_a_cell_of_another_type_is_refused_by_name(old, new, cell):
    data = table_bytes(COLUMNS, map(cells_of, ROWS)).replace(old.encode(), new.encode(), 1)
    [line, _] = parse_table(data, COLUMNS, where="t.csv", expected="rows").lines
    with pytest.raises(InputError, match=rf"t\.csv, line 2: a value that can't be read \({cell}\); expected a row"):
        parse_row(Row, line, expected="a row", counts={})


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
