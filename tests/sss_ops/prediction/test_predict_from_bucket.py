"""``sss predict`` from a real object store to it, and to a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.object_store import object_store

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_label, read_volume
from sss_ops.prediction.predict import Predictions, predict_scans

BUCKET = "hospital"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), [BUCKET]) as (_, environment):
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, phantom: Path, manifest: Manifest) -> Any:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.Session().resource("s3").Bucket(BUCKET)
    bucket.objects.delete()
    for case, key in zip(manifest.split("test"), ("in/a.nii", "in/ward/b.nii"), strict=False):
        bucket.upload_file(str(phantom / case.image), key)
    bucket.put_object(Key="in/notes.txt", Body=b"no scan")
    return bucket


def run(checkpoint: Path, source: str, destination: str) -> Predictions:
    return predict_scans(load_checkpoint(checkpoint), source, destination)


def test_a_prefix_is_segmented_into_a_prefix_and_gone_on_from(bucket: Any, checkpoint: Path, tmp_path: Path) -> None:
    done = run(checkpoint, f"s3://{BUCKET}/in", f"s3://{BUCKET}/out")
    keys = {each.key for each in bucket.objects.filter(Prefix="out/")}
    names = {"dataset.json", "labels.txt", "labels.ctbl"}
    assert keys == {f"out/{name}" for name in names | {"a.nii", "ward/b.nii", "summary.csv"}}
    content = bucket.Object("out/summary.csv").get()["Body"].read().decode()
    assert [row["scan"] for row in csv.DictReader(io.StringIO(content))] == ["a.nii", "ward/b.nii"]
    assert {row.status for row in done.rows} == {"made"}
    bucket.Object("out/ward/b.nii").delete()
    again = run(checkpoint, f"s3://{BUCKET}/in", f"s3://{BUCKET}/out")
    assert [row.status for row in again.rows] == ["kept", "made"]


def test_masks_below_the_scans_are_not_taken_for_scans_nor_laid_over_them(bucket: Any, checkpoint: Path) -> None:
    bucket.put_object(Key="in/.hidden.nii", Body=b"no scan")
    for status in ("made", "kept"):
        done = run(checkpoint, f"s3://{BUCKET}/in", f"s3://{BUCKET}/in/masks")
        assert [(row.scan, row.status) for row in done.rows] == [("a.nii", status), ("ward/b.nii", status)]
    for scan, place in (("in", "in"), ("in/a.nii", "in/a.nii"), ("in/a.nii", "in")):
        with pytest.raises(InputError, match="would replace a scan"):
            run(checkpoint, f"s3://{BUCKET}/{scan}", f"s3://{BUCKET}/{place}")


def test_a_mask_is_the_same_from_a_bucket_and_from_a_file(
    bucket: Any, checkpoint: Path, tmp_path: Path, phantom: Path, manifest: Manifest
) -> None:
    run(checkpoint, f"s3://{BUCKET}/in/a.nii", str(tmp_path / "mask.nii.gz"))
    expected = Predictor.load(checkpoint)(read_volume(phantom / manifest.split("test")[0].image))
    assert (read_label(tmp_path / "mask.nii.gz").array == expected.array).all()


def test_a_broken_object_is_named_by_its_address(bucket: Any, checkpoint: Path, tmp_path: Path) -> None:
    bucket.put_object(Key="in/broken.nii.gz", Body=b"no scan at all")
    done = run(checkpoint, f"s3://{BUCKET}/in", str(tmp_path / "masks"))
    assert [row.status for row in done.rows] == ["made", "failed", "made"]
    with pytest.raises(InputError, match=f"s3://{BUCKET}/in/broken.nii.gz"):
        done.refuse_failures()


@pytest.mark.parametrize(
    ("source", "destination", "sentence"),
    [
        ("in", f"s3://{BUCKET}-of-others/out", "a bucket that exists"),
        ("nowhere", f"s3://{BUCKET}/out", "no objects are there"),
        ("in", "s3://", "not an address of objects"),
    ],
)
def test_a_place_that_is_none_is_refused(
    bucket: Any, checkpoint: Path, source: str, destination: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        run(checkpoint, f"s3://{BUCKET}/{source}", destination)
