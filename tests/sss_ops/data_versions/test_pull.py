from pathlib import Path

import pytest
import yaml
from support.code_graph import ROOT
from support.dvc_project import call
from support.object_store import object_store
from support.scans import write_canonical

from sss_model.errors import InputError
from sss_ops.data_versions.pull import fetch_data


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
