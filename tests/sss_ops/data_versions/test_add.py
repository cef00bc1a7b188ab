"""`sss data add` and `sss data pull` against a real object store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from support.dvc_project import call
from support.object_store import object_store
from support.paths import ROOT
from support.scans import edit, intensities, write_canonical, write_nifti

from sss_model.data import staging
from sss_model.errors import InputError
from sss_ops.data_versions.pull import fetch_data
from sss_ops.data_versions.versions import tracked_version
from tests.sss_ops.data_versions.conftest import Sss
from tests.sss_ops.data_versions.test_personal_data import scan

NOTHING = "http://127.0.0.1:9"
CASE = "data/heart/imagesTr"


def commit(project: Path, message: str) -> None:
    call(project, "git", "add", "--all")
    call(project, "git", "commit", "--quiet", "--message", message)


def remote_objects(project: Path) -> dict[str, Any]:
    """When each object of the project's remote was written, by key."""
    objects = boto3.Session().resource("s3").Bucket("sss-data").objects
    return {each.key: each.last_modified for each in objects.filter(Prefix=project.parent.name + "/")}


def other_scan(project: Path) -> Path:
    return write_nifti(sorted((project / CASE).iterdir())[0], intensities(77))


def one_refusal(told: tuple[int, str, str], project: Path, before: bytes | None) -> str:
    """The sentence; nothing else is said, and the record is as it was."""
    code, out, sentence = told
    assert (code, out) == (2, "")
    assert sentence.startswith("error: ") and len(sentence.splitlines()) == 1, sentence
    record = project / "data.dvc"
    assert (record.read_bytes() if record.exists() else None) == before
    return sentence


def test_the_first_version_is_pushed_and_arrives_in_a_clean_clone(
    project: Path, sss: Sss, tmp_path: Path, store: dict[str, str]
) -> None:
    code, out, err = sss("data", "add")
    assert (code, err) == (0, "")
    version = tracked_version(project / "data.dvc")
    assert out.startswith(f"data: version none → {version}: 10 cases of 5 patients\n")
    assert "cases: 10 added, 0 changed, 0 removed\npatients: 5 added, 0 changed, 0 removed\n" in out
    assert f"pushed to s3://sss-data/{tmp_path.name}\n" in out
    assert f"git add .gitignore data.dvc && git commit -m 'Data version {version[:10]}'" in out
    commit(project, "First")
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "--quiet", str(project), str(clone))
    call(clone, "dvc", "pull", "--quiet", **store)
    for path in (project / "data").rglob("*"):
        assert path.is_dir() or path.read_bytes() == (clone / path.relative_to(project)).read_bytes()


def test_an_import_that_was_cut_off_is_no_part_of_a_version(project: Path, sss: Sss) -> None:
    work = staging.folder_of(project / "data/lung")
    (work / "new/imagesTr").mkdir(parents=True)
    told = sss("data", "add", "--no-push")
    assert "lung.importing: work of an import that was cut off" in one_refusal(told, project, None)
    work.rename(project / "moved")
    assert sss("data", "add", "--no-push")[0] == 0


def test_in_a_container_without_git_a_version_is_added_pushed_and_recorded(
    project: Path, sss: Sss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / ".git")
    edit(project / ".dvc/config", "[core]\n", "[core]\nno_scm = true\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("git") is None
    code, out, err = sss("data", "add")
    assert (code, err) == (0, "")
    version = tracked_version(project / "data.dvc")
    assert out.startswith(f"data: version none → {version}: 10 cases of 5 patients\n")
    assert "commit it" not in out
    other_scan(project)
    _, out, _ = sss("data", "add")
    assert f"{version} → {tracked_version(project / 'data.dvc')}" in out and "cases: 0 added, 1 changed" in out
    assert sss("data", "diff", version)[0] == 0
    assert sss("version-data", "--data-dir", "data/heart")[::2] == (0, "")
    assert json.loads((project / "data_version.json").read_text())["version"] == tracked_version(project / "data.dvc")


def test_the_same_bytes_are_the_same_version(project: Path, sss: Sss) -> None:
    sss("data", "add")
    commit(project, "First")
    first = (project / "data.dvc").read_bytes()
    changed = other_scan(project)
    sss("data", "add")
    assert (project / "data.dvc").read_bytes() != first
    changed.unlink()
    call(project, "git", "checkout", "--quiet", "data.dvc")
    call(project, "dvc", "checkout", "--quiet")
    shutil.copytree(project / "data", project / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(project / "data")
    (project / "copy").rename(project / "data")
    _, out, _ = sss("data", "add", "data/")
    assert (project / "data.dvc").read_bytes() == first
    assert "as before: 10 cases" in out and "commit it" not in out


def test_a_change_is_counted_against_the_committed_version(project: Path, sss: Sss) -> None:
    sss("data", "add", "--no-push")
    commit(project, "First")
    old = tracked_version(project / "data.dvc")
    other_scan(project)
    _, out, _ = sss("data", "add", "--no-push")
    assert f"version {old} → {tracked_version(project / 'data.dvc')}: 10 cases" in out
    assert "cases: 0 added, 1 changed, 0 removed\npatients: 0 added, 1 changed, 0 removed\n" in out
    assert "commit it: git add data.dvc && git commit" in out
    assert "cases: 0 added, 1 changed, 0 removed" in sss("data", "add", "--no-push")[1], "until it is committed"


def test_without_a_push_nothing_leaves_this_machine(project: Path, sss: Sss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOTHING)
    code, out, _ = sss("data", "add", "--no-push")
    assert code == 0 and "not pushed: only this machine has it" in out


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "Forbidden; expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials; expected AWS_ACCESS"),
        ({"AWS_ENDPOINT_URL": NOTHING}, "Could not connect to the endpoint URL.*; expected an object store there"),
    ],
)
def test_a_store_that_refuses_is_told_of_before_anything_is_done(
    project: Path, sss: Sss, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    sss("data", "add")
    before = (project / "data.dvc").read_bytes()
    other_scan(project)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sentence = one_refusal(sss("data", "add"), project, before)
    assert "wrong" not in sentence
    assert re.search(f"s3://sss-data/.*: {expected}", sentence), sentence


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("s3://sss-data/", "s3://nowhere/", "expected a bucket or folder that exists"),
        ("remote = team", "", "expected a default remote, run `dvc remote add -d NAME URL`"),
    ],
)
def test_a_remote_that_is_not_there_is_refused(project: Path, sss: Sss, old: str, new: str, expected: str) -> None:
    settings = project / ".dvc/config"
    settings.write_text(settings.read_text().replace(old, new))
    assert expected in one_refusal(sss("data", "add"), project, None)


def test_folders_that_cannot_be_versioned_are_refused(project: Path, sss: Sss) -> None:
    assert "nowhere: no such folder" in one_refusal(sss("data", "add", "nowhere"), project, None)
    (project / "empty").mkdir()
    assert "empty: no files in it" in one_refusal(sss("data", "add", "empty"), project, None)
    shutil.rmtree(project / ".dvc")
    assert "expected a DVC repository, run `dvc init`" in one_refusal(sss("data", "add"), project, None)


def test_scans_with_names_are_not_pushed_unless_that_is_wanted(project: Path, sss: Sss) -> None:
    path = scan(sorted((project / CASE).iterdir())[0], descrip="DOE^JANE")
    sentence = one_refusal(sss("data", "add"), project, None)
    assert f"{path.relative_to(project)}: descrip holds a name (D…, 8 characters)" in sentence
    assert "JANE" not in sentence
    assert remote_objects(project) == {}
    code, out, warning = sss("data", "add", "--no-push")
    assert code == 0 and "descrip holds a name" in warning and "JANE" not in out + warning
    assert sss("data", "check")[0] == 2
    assert sss("data", "add", "--allow-identifiable")[0] == 0
    assert remote_objects(project)


KILLED_PUSH = """
import os, signal, s3fs
from sss_ops.cli import main

sent, put = [], s3fs.S3FileSystem._put_file

async def put_and_die(self, *arguments, **options):
    await put(self, *arguments, **options)
    sent.append(1)
    if len(sent) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

s3fs.S3FileSystem._put_file = put_and_die
main()
"""


def test_a_push_that_was_killed_goes_on_and_loses_nothing(project: Path, sss: Sss, store: dict[str, str]) -> None:
    sss("data", "add")
    commit(project, "First")
    old, before = tracked_version(project / "data.dvc"), remote_objects(project)
    for number in range(40):
        (project / f"data/heart/{number}.bin").write_bytes(os.urandom(1 << 12))
    command = [sys.executable, "-c", KILLED_PUSH, "data", "add"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    partly = remote_objects(project)
    assert len(before) + 5 <= len(partly) < len(before) + 40
    assert not any(key.endswith(".dir") for key in partly.keys() - before.keys()), "a version is there whole or not"

    code, out, _ = sss("data", "add")
    assert code == 0 and f"version {old} → " in out
    after = remote_objects(project)
    assert {key: after[key] for key in partly} == partly, "what was there is not sent again"
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc/cache")
    call(project, "dvc", "pull", "--quiet", **store)
    assert len(list((project / "data/heart").glob("*.bin"))) == 40


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", place], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("setting", ["[cache]\ndir = {disk}\n", "['remote \"team\"']\nurl = {disk}\n"])
def test_a_full_disk_is_one_sentence_and_changes_nothing(
    project: Path, sss: Sss, small_disk: Path, setting: str
) -> None:
    settings = project / ".dvc/config"
    kept = settings.read_text() if "cache" in setting else "[core]\nremote = team\n"
    settings.write_text(kept + setting.format(disk=small_disk))
    sss("data", "add")
    before = (project / "data.dvc").read_bytes()
    (project / "data/heart/big.bin").write_bytes(os.urandom(3 << 20))
    assert "the disk is full" in one_refusal(sss("data", "add"), project, before)


@pytest.fixture(scope="module")
def versioned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository whose data folder holds two data sets, and their version."""
    folder = tmp_path_factory.mktemp("versioned")
    call(folder, "dvc", "init", "--quiet", "--no-scm")
    write_canonical(folder / "data/heart")
    write_canonical(folder / "data/other")
    call(folder, "dvc", "add", "--quiet", "data")
    return folder, yaml.safe_load((folder / "data.dvc").read_text())["outs"][0]["md5"]


@pytest.fixture(scope="module")
def remote(versioned: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("remote")
    call(versioned[0], "dvc", "remote", "add", "--quiet", "there", str(folder))
    call(versioned[0], "dvc", "push", "--quiet", "--remote", "there")
    return str(folder)


def same_files(one: Path, other: Path) -> bool:
    names = {path.relative_to(one) for path in one.rglob("*")}
    assert names == {path.relative_to(other) for path in other.rglob("*")}
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names if (one / name).is_file())


def test_a_version_arrives_with_one_data_set_of_it(versioned: tuple[Path, str], remote: str, tmp_path: Path) -> None:
    project, version = versioned
    found = fetch_data(remote=remote, version=version, name="heart", into=tmp_path / "scans")
    assert found == version
    assert [path.name for path in (tmp_path / "scans").iterdir()] == ["heart"]
    assert same_files(project / "data/heart", tmp_path / "scans/heart")
    assert [path.name for path in tmp_path.iterdir()] == ["scans"], "nothing of DVC's stays"


def test_a_version_arrives_from_a_real_object_store(
    versioned: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, version = versioned
    with object_store(tmp_path / "store", buckets=["sss-data"]) as (endpoint, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        remote = f"url = s3://sss-data/dvc\nendpointurl = {endpoint}\n"
        (project / ".dvc/config.local").write_text(f"['remote \"s3\"']\n{remote}")
        call(project, "dvc", "push", "--quiet", "--remote", "s3", **environment)
        fetch_data(remote="s3://sss-data/dvc", version=version, name="heart", into=tmp_path / "scans")
        assert same_files(project / "data/heart", tmp_path / "scans/heart")

        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(InputError, match=r"s3://sss-data/dvc: version .* can't be had \(.+\); expected") as refused:
            fetch_data(remote="s3://sss-data/dvc", version=version, name="heart", into=tmp_path / "refused")
        assert "wrong" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_version_that_the_remote_lacks_is_refused(remote: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"version 0{32}\.dir can't be had"):
        fetch_data(remote=remote, version="0" * 32, name="heart", into=tmp_path / "scans")


def test_a_data_set_that_the_version_lacks_is_refused(versioned: tuple[Path, str], remote: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="liver"):
        fetch_data(remote=remote, version=versioned[1], name="liver", into=tmp_path / "scans")


def test_the_phantom_needs_no_remote_and_is_the_committed_version(tmp_path: Path) -> None:
    found = fetch_data(remote="", version="phantom", name="phantom", into=tmp_path / "scans")
    assert found == yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    assert (tmp_path / "scans/phantom/dataset.json").is_file()


def test_the_phantom_for_another_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data_version: phantom, but the recipe is for acdc"):
        fetch_data(remote="", version="phantom", name="acdc", into=tmp_path / "scans")
