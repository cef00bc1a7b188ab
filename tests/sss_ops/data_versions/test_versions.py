"""`sss data versions` and `sss data diff`: a real history, and listings of files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.dvc_project import call

from sss_model.errors import InputError
from sss_ops.data_versions.contents import Contents, contents_of, read_contents
from sss_ops.data_versions.difference import compare_contents
from sss_ops.data_versions.versions import tracked_version
from tests.sss_ops.data_versions.conftest import Sss


@pytest.fixture
def versions(project: Path, sss: Sss) -> list[str]:
    """Two committed versions, the second without a patient; oldest first."""
    found = []
    for message in ("First", "Second"):
        assert sss("data", "add")[0] == 0
        call(project, "git", "add", "--all")
        call(project, "git", "commit", "--quiet", "--message", message)
        found.append(tracked_version(project / "data.dvc"))
        victim = sorted((project / "data/heart/imagesTr").iterdir())[0].name.split("_")[0]
        for path in list((project / "data").rglob(f"{victim}*")):
            path.unlink()
        splits = project / "data/heart/splits.csv"
        rows = splits.read_text().splitlines(keepends=True)
        splits.write_text("".join(row for row in rows if not row.startswith(victim)))
    return found


def test_versions_are_listed_newest_first_with_the_present_one_marked(
    project: Path, sss: Sss, versions: list[str]
) -> None:
    code, out, _ = sss("data", "versions")
    _, second, first = (line.split() for line in out.splitlines())
    assert code == 0
    assert (second[0], second[3:]) == ("*", [versions[1], "8", "4", "Second"])
    assert first[2:] == [versions[0], "10", "5", "First"]
    sss("data", "add", "--no-push")
    lines = sss("data", "versions")[1].splitlines()
    assert lines[1].startswith("*") and lines[1].endswith("6      3         not committed")
    assert not any(line.startswith("*") for line in lines[2:])


def test_counts_of_versions_that_are_elsewhere_are_asked_for(project: Path, sss: Sss, versions: list[str]) -> None:
    shutil.rmtree(project / ".dvc/cache")
    assert sss("data", "versions")[1].splitlines()[1].split()[4:] == ["–", "–", "Second"]
    assert sss("data", "versions", "--ask-remote")[1].splitlines()[1].split()[4:] == ["8", "4", "Second"]


@pytest.mark.parametrize("names", ["revisions", "md5s", "beginnings", "present"])
def test_two_versions_are_compared_without_their_scans(
    project: Path, sss: Sss, versions: list[str], names: str
) -> None:
    old, new = versions
    arguments = {
        "revisions": ["HEAD~1", "HEAD"],
        "md5s": [old.removesuffix(".dir"), new],
        "beginnings": [old[:8], new[:8]],
        "present": ["HEAD~1"],
    }[names]
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project / "data")
    code, out, err = sss("data", "diff", *arguments)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{old} → {new}"
    assert lines[1:3] == ["cases: 0 added, 0 changed, 2 removed", "patients: 0 added, 0 changed, 1 removed"]
    assert sum(line.startswith("- heart/") for line in lines) == 3
    fetched = [path for path in (project / ".dvc").rglob("*") if path.is_file() and "files/md5" in str(path)]
    assert fetched == [], "nothing is brought here"


def test_a_version_is_the_same_as_itself(sss: Sss, versions: list[str]) -> None:
    assert sss("data", "diff", "HEAD")[1].endswith("the same version\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nowhere", "no version of data.dvc is known by it"), ("0" * 32, "it has no 00000"), ("--help-me", "")],
)
def test_a_version_that_nobody_has_is_refused(sss: Sss, versions: list[str], name: str, expected: str) -> None:
    code, out, err = sss("data", "diff", name)
    assert (code, out) == (2, "") and expected in err and "Traceback" not in err


def test_a_lost_store_is_one_sentence(
    project: Path, sss: Sss, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / ".dvc/cache")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, _, err = sss("data", "diff", "HEAD~1")
    assert code == 2 and "Could not connect to the endpoint URL" in err and len(err.splitlines()) == 1


def test_without_a_version_or_git_there_is_nothing_to_list(project: Path, sss: Sss) -> None:
    assert "git's history has no version of it; expected one, run `sss data add`" in sss("data", "versions")[2]
    shutil.rmtree(project / ".git")
    (project / ".dvc/config").write_text("[core]\nno_scm = true\n")
    assert "not in a git repository" in sss("data", "versions")[2]


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
