"""`sss predict` on files, folders and object stores, from a checkpoint or a registered model."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import mlflow
import nibabel as nib
import numpy as np
import pytest
from support.object_store import object_store
from support.registry import MODEL

from sss_model.checkpoint import load_checkpoint, save_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.inference.predictor import Predictor
from sss_model.inference.quality import QualityFit
from sss_model.io.volumes import read_label, read_volume
from sss_ops.cli import main
from sss_ops.prediction.checkpoints import open_checkpoint
from sss_ops.prediction.predict import Predictions, predict_scans
from sss_ops.prediction.scans import find_scans
from sss_ops.prediction.summary import SummaryRow
from sss_ops.registry.versions import CHAMPION, version_at

Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sss:
    """Runs a command line; gives its exit code, what it says on stdout, and on stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sss", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def scans(tmp_path: Path, phantom: Path, manifest: Manifest) -> Path:
    """Two scans, one of them in a folder below."""
    folder = tmp_path / "scans"
    for case, place in zip(manifest.split("test"), (folder, folder / "ward"), strict=False):
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(phantom / case.image, place)
    (folder / ".hidden.nii").write_bytes(b"")
    (folder / "notes.txt").write_text("no scan")
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_with_all_below_it_is_segmented_and_summed_up(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path, manifest: Manifest
) -> None:
    code, told, progress = sss("predict", checkpoint, scans, tmp_path / "masks")
    assert code == 0
    found = {path.relative_to(scans).as_posix() for path in scans.rglob("*.nii") if not path.name.startswith(".")}
    assert names(tmp_path / "masks") == found | {"summary.csv", "dataset.json", "labels.txt", "labels.ctbl"}
    assert any("/" in name for name in found)
    assert "predict: 2 of 2" in progress
    for row in rows(tmp_path / "masks"):
        image, mask = nib.load(scans / row["scan"]), nib.load(tmp_path / "masks" / row["scan"])
        assert mask.shape == image.shape
        assert np.array_equal(mask.affine, image.affine)
        assert mask.get_data_dtype() == np.uint8
        for name, index in manifest.labels.items():
            if index:
                voxels = int((np.asarray(mask.dataobj) == index).sum())
                millilitres = voxels * float(np.prod(image.header.get_zooms())) / 1000
                assert float(row[f"{name}_ml"]) == pytest.approx(millilitres, abs=0.001)
        assert (row["status"], row["look"] in ("yes", "no")) == ("made", True)
        assert row["scan"] in told


def test_one_scan_takes_the_name_it_is_given_and_is_always_made_anew(
    sss: Sss, checkpoint: Path, phantom: Path, manifest: Manifest, tmp_path: Path
) -> None:
    scan, mask = phantom / manifest.split("test")[0].image, tmp_path / "out" / "mask.nii.gz"
    mask.parent.mkdir()
    mask.write_bytes(b"an older one")
    code, told, _ = sss("predict", checkpoint, scan, mask)
    assert code == 0
    assert told.splitlines()[-1].endswith(f": {mask}")
    assert names(mask.parent) == {"mask.nii.gz"}
    assert nib.load(mask).shape == nib.load(scan).shape


def test_run_again_it_keeps_its_masks_and_makes_those_whose_scan_changed_or_whose_mask_is_gone(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    sss("predict", checkpoint, scans, masks)
    first, second = sorted(row["scan"] for row in rows(masks))
    quality = {row["scan"]: row["quality"] for row in rows(masks)}
    (masks / first).unlink()
    before = (masks / second).stat().st_mtime_ns
    sss("predict", checkpoint, scans, masks)
    assert {row["scan"]: row["status"] for row in rows(masks)} == {first: "made", second: "kept"}
    assert (masks / second).stat().st_mtime_ns == before
    assert {row["scan"]: row["quality"] for row in rows(masks)} == quality
    shutil.copy(scans / first, scans / second)
    sss("predict", checkpoint, scans, masks)
    assert {row["scan"]: row["status"] for row in rows(masks)} == {first: "kept", second: "made"}
    sss("predict", checkpoint, scans, masks, "--replace")
    assert {row["status"] for row in rows(masks)} == {"made"}


def test_masks_of_another_model_or_of_unknown_origin_are_not_mixed_in(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path
) -> None:
    masks, other = tmp_path / "masks", load_checkpoint(checkpoint)
    sss("predict", checkpoint, scans, masks)
    weights = {name: tensor + 0.001 for name, tensor in other.weights.items()}
    save_checkpoint(tmp_path / "other", meta=other.meta, weights=weights, history=[{"step": 1.0}])
    code, _, error = sss("predict", tmp_path / "other", scans, masks)
    assert (code, "another model made" in error) == (2, True)
    (masks / "summary.csv").unlink()
    code, _, error = sss("predict", checkpoint, scans, masks)
    assert (code, "no summary.csv beside it tells of" in error) == (2, True)
    assert sss("predict", tmp_path / "other", scans, masks, "--replace")[0] == 0


def test_a_scan_that_cannot_be_read_does_not_lose_the_others(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path
) -> None:
    (scans / "broken.nii").write_bytes(b"no scan at all")
    code, told, error = sss("predict", checkpoint, scans, tmp_path / "masks")
    assert code == 2
    assert re.search(r"error: 1 of 3 scans have no mask: .*broken\.nii", error)
    assert "Traceback" not in error
    assert {row["status"] for row in rows(tmp_path / "masks")} == {"made", "failed"}
    assert not (tmp_path / "masks/broken.nii").exists()
    assert told.splitlines()[1].startswith("broken.nii")


def test_masks_below_the_scans_are_not_taken_for_scans(sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert sss("predict", checkpoint, scans, scans / "masks")[0] == 0
    assert len(rows(scans / "masks")) == 2


@pytest.mark.parametrize("options", [(), ("--replace",)])
def test_a_mask_never_replaces_a_scan(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    scan = next(scans.glob("*.nii"))
    content = scan.read_bytes()
    for source, destination in ((scan, scan), (scan, scans), (scans, scans), (scans, tmp_path / "ward/../scans")):
        code, _, error = sss("predict", checkpoint, source, destination, *options)
        assert (code, "would replace a scan" in error) == (2, True), error
    assert scan.read_bytes() == content
    assert not (scans / "summary.csv").exists()


def test_masks_may_go_above_the_scans(sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path) -> None:
    assert sss("predict", checkpoint, scans, tmp_path)[0] == 0
    assert len(rows(tmp_path)) == 2


def test_a_limit_also_holds_for_masks_that_are_kept() -> None:
    line = {"slope": 1.0, "intercept": 0.0, "low": -0.1, "high": 0.1}
    fit = QualityFit(**line, cases=9, patients=9, spearman=None, review_below=0.4, always=[])
    row = SummaryRow(
        "a.nii", "made", "yes", "0.5000", "0.4000", "0.6000", "other tones; expected Dice 0.50, below …", "m", "s"
    )
    strict, lenient = (row.kept(fit, limit) for limit in (0.9, None))
    assert strict.warnings == "other tones; expected Dice 0.50, below the limit 0.90"
    assert (lenient.warnings, lenient.look) == ("other tones", "yes")
    plain = replace(row, warnings="")
    assert [plain.kept(fit, limit).look for limit in (0.9, 0.1)] == ["yes", "no"]


def test_the_summary_keeps_the_rows_of_other_runs_while_their_masks_are_there(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path
) -> None:
    masks, (one, other) = tmp_path / "masks", sorted(scans.rglob("[!.]*.nii"))
    for scan in (one, other):
        assert sss("predict", checkpoint, scan, masks)[0] == 0
    assert {row["scan"] for row in rows(masks)} == {one.name, other.name}
    (masks / one.name).unlink()
    sss("predict", checkpoint, other, masks)
    assert {row["scan"] for row in rows(masks)} == {other.name}


def test_of_a_data_set_only_the_images_are_scans(phantom: Path) -> None:
    found = {scan.name.split("/")[0] for scan in find_scans(str(phantom))}
    assert found == {"imagesTr", "imagesTs"}


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (["{scans}"], "1 places given .*; expected CHECKPOINT, IN and OUT"),
        (["--model", "models:/heart", "{scans}", "{out}"], "heart: no such model"),
        (["{checkpoint}", "{out}/nowhere", "{out}"], "no such file or folder"),
        (["{checkpoint}", "{empty}", "{out}"], "no scans there"),
        (["{checkpoint}", "{scans}", "{scans}/notes.txt"], "expected a folder for the masks"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    sss: Sss, checkpoint: Path, scans: Path, tmp_path: Path, places: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    known = {"scans": scans, "out": tmp_path / "out", "checkpoint": checkpoint, "empty": tmp_path / "empty"}
    code, _, error = sss("predict", *(place.format(**known) for place in places))
    assert code == 2
    assert re.search(sentence, error), error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_scan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no scan")
    with pytest.raises(InputError, match="no scans there"):
        find_scans(str(tmp_path))


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


@pytest.fixture
def registry(store: mlflow.MlflowClient) -> mlflow.MlflowClient:
    store.create_registered_model(MODEL)
    for _ in range(2):
        store.create_model_version(MODEL, "file:///nowhere")
    store.set_registered_model_alias(MODEL, CHAMPION, "1")
    return store


@pytest.mark.parametrize(("address", "version"), [("@champion", "1"), ("", "1"), ("/2", "2"), ("/1", "1")])
def test_an_address_means_a_version(registry: mlflow.MlflowClient, address: str, version: str) -> None:
    found = version_at(registry, f"models:/{MODEL}{address}")
    assert (found.name, str(found.version)) == (MODEL, version)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (f"models:/{MODEL}@best", "no version has the alias best"),
        (f"models:/{MODEL}/7", "no version 7"),
        ("models:/liver@champion", "no such model"),
        (f"models:/{MODEL}/2/checkpoint", "not the address of a model"),
    ],
)
def test_an_address_that_means_none_is_one_sentence(registry: mlflow.MlflowClient, address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence), open_checkpoint(address):
        pass


def test_a_version_without_a_checkpoint_is_named(registry: mlflow.MlflowClient) -> None:
    with pytest.raises(InputError, match=f"{MODEL} version 1"), open_checkpoint(f"models:/{MODEL}@champion"):
        pass
