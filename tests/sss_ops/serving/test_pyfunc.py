"""A served model: the checkpoint's masks in whatever form a scan comes, and one sentence for what is no scan."""

from __future__ import annotations

import base64
import gzip
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from PIL import Image
from support.samples import write_refuge
from support.tracking_server import Server, scoring_server

from sss_model.checkpoint import load_checkpoint, save_checkpoint
from sss_model.config import Config
from sss_model.data.importing import import_dataset
from sss_model.data.manifest import build_manifest
from sss_model.training.train import train
from sss_ops.prediction.predict import predict_scans
from sss_ops.serving.package import register_model
from tests.sss_model.test_two_dimensions import FLAT

MOST = 1_000_000
SECRET = "31337"  # a voxel's value that no answer may hold
NOT_A_FILE = base64.b64encode(f"no image {SECRET}".encode()).decode()


class Served(NamedTuple):
    """A model in a registry, behind a server, the checkpoint that it was made of, and scans that it never saw."""

    uri: str
    server: Server
    checkpoint: Path
    scans: list[Path]

    def load(self, **config: Any) -> mlflow.pyfunc.PyFuncModel:
        return mlflow.pyfunc.load_model(self.uri, model_config=config)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, recipe: Callable[..., Config]) -> tuple[Path, list[Path]]:
    """A checkpoint of colour photographs, and photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    import_dataset("refuge", write_refuge(folder / "source"), folder / "data")
    train(
        recipe(FLAT),
        data_dir=folder / "data",
        manifest=build_manifest(folder / "data"),
        output=folder / "checkpoint",
        work_dir=folder / "work",
        cache_dir=folder / "cache",
        data_version="0" * 32,
        manifest_sha256="1" * 64,
    )
    return folder / "checkpoint", sorted((folder / "data/imagesTs").iterdir())


def opinionated(checkpoint: Path, target: Path) -> Path:
    """The same, but that it sees every class in every scan: after a few steps of training it sees none."""
    trained = load_checkpoint(checkpoint)
    head, bias = trained.weights["decoder.head.weight"], trained.weights["decoder.head.bias"]
    weights = {
        "decoder.head.weight": torch.randn(head.shape, generator=torch.Generator().manual_seed(0)),
        "decoder.head.bias": torch.zeros_like(bias),
    }
    history = [{"step": 1.0, "val_dice": 0.5}]
    save_checkpoint(target, meta=trained.meta, weights=trained.weights | weights, history=history)
    return target


def serve(checkpoint: Path, scans: list[Path], store: Path, folder: Path) -> Iterator[Served]:
    (folder / "mlflow.db").write_bytes(store.read_bytes())
    checkpoint = opinionated(checkpoint, folder / "checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        client = mlflow.MlflowClient()
        (folder / "card.md").write_text("A card.")
        with mlflow.start_run():
            version = register_model(client, checkpoint, name="organ", tags={}, card=folder / "card.md")
        client.set_registered_model_alias("organ", "champion", version)
        # Paths stay refused here whatever its configuration says.
        config = {"max_voxels": MOST, "paths": True}
        with scoring_server("models:/organ@champion", folder=folder, config=config) as server:
            yield Served("models:/organ@champion", server, checkpoint, scans)


@pytest.fixture(scope="module")
def served(
    checkpoint: Path, phantom: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    scans = [scan for folder in ("imagesTs", "imagesTr") for scan in sorted((phantom / folder).iterdir())]
    yield from serve(checkpoint, scans, empty_store, tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served_pictures(
    pictures: tuple[Path, list[Path]], empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    yield from serve(*pictures, empty_store, tmp_path_factory.mktemp("served-pictures"))


def in_json(content: bytes) -> str:
    return base64.b64encode(content).decode()


def written(served: Served, scan: Path, mask: Path) -> bytes:
    """The file that `sss predict` writes."""
    predict_scans(load_checkpoint(served.checkpoint), str(scan), str(mask))
    return mask.read_bytes()


def test_checkpoint_pyfunc_and_server_give_the_same_file(served: Served, tmp_path: Path) -> None:
    for scan in served.scans[:2]:
        expected = written(served, scan, tmp_path / "mask.nii.gz")
        content = scan.read_bytes()
        status, answer = served.server.ask({"nifti": in_json(content)}, {"nifti": in_json(gzip.compress(content))})
        assert status == 200, answer
        assert [base64.b64decode(row["mask"]) for row in answer["predictions"]] == [expected] * 2
        model = served.load(paths=True)
        assert model.predict(pd.DataFrame({"nifti": [content]}))["mask"][0] == expected
        inside = model.predict(pd.DataFrame({"path": [str(scan)]}))["mask"][0]
        assert nib.Nifti1Image.from_bytes(inside).get_fdata().tolist() == voxels(expected).tolist()


def voxels(content: bytes) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(content)).dataobj)


def test_an_array_is_answered_with_an_array_of_the_same_mask(served: Served, tmp_path: Path) -> None:
    scan = served.scans[0]
    image = nib.as_closest_canonical(nib.load(scan))
    fields = {"array": np.asarray(image.dataobj), "spacing_mm": [float(mm) for mm in image.header.get_zooms()]}
    mask = nib.Nifti1Image.from_bytes(gzip.decompress(written(served, scan, tmp_path / "mask.nii.gz")))
    expected = np.asarray(nib.as_closest_canonical(mask).dataobj)
    assert len(np.unique(expected)) > 1
    status, answer = served.server.ask({**fields, "array": fields["array"].tolist()})
    assert status == 200, answer
    assert np.array_equal(answer["predictions"][0]["mask"], expected)
    (local,) = served.load().predict(pd.DataFrame([fields]))["mask"]
    assert np.array_equal(local, expected)


def test_pictures_are_answered_with_pictures(served_pictures: Served, tmp_path: Path) -> None:
    for scan in served_pictures.scans[:2]:
        expected = written(served_pictures, scan, tmp_path / "mask.png")
        assert expected.startswith(b"\x89PNG")
        status, answer = served_pictures.server.ask({"nifti": in_json(scan.read_bytes())})
        assert status == 200, answer
        assert base64.b64decode(answer["predictions"][0]["mask"]) == expected
        with Image.open(io.BytesIO(expected)) as mask:
            assert len(np.unique(np.asarray(mask))) > 1
        model = served_pictures.load(paths=True)
        assert model.predict(pd.DataFrame({"nifti": [scan.read_bytes()]}))["mask"][0] == expected
        assert model.predict(pd.DataFrame({"path": [str(scan)]}))["mask"][0] == expected


def test_requests_at_once_and_one_after_another_leave_nothing_behind(served: Served, tmp_path: Path) -> None:
    scans = served.scans[:3]
    expected = [written(served, scan, tmp_path / "mask.nii.gz") for scan in scans]
    turns = [0, 1, 2, 1, 0, 2, 0, 0]

    def ask(turn: int) -> bytes:
        status, answer = served.server.ask({"nifti": in_json(scans[turn].read_bytes())})
        assert status == 200, answer
        return base64.b64decode(answer["predictions"][0]["mask"])

    with ThreadPoolExecutor(4) as clients:
        assert list(clients.map(ask, turns)) == [expected[turn] for turn in turns]
    assert served.server.ask({"nifti": NOT_A_FILE})[0] == 400
    assert [ask(turn) for turn in (2, 0)] == [expected[2], expected[0]]


def nifti(array: np.ndarray) -> str:
    return in_json(gzip.compress(nib.Nifti1Image(array, np.eye(4)).to_bytes()))


def box(*shape: int) -> np.ndarray:
    return np.full(shape, float(SECRET), np.float32)


BOX = box(4, 4, 4)
SIDES = [1, 1, 5]
WITH_NAN = np.where(np.arange(64).reshape(4, 4, 4) == 7, np.nan, BOX)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "not base64": ({"nifti": f"{SECRET}!"}, "row 0: nifti: not base64; expected a file's bytes, in JSON as base64"),
    "a number": ({"nifti": int(SECRET)}, "row 0: nifti: found int; expected a file's bytes, in JSON as base64"),
    "no image": ({"nifti": NOT_A_FILE}, "row 0: not a NIfTI file; expected .nii or .nii.gz data"),
    "half a file": (
        {"nifti": in_json(gzip.compress(nib.Nifti1Image(box(9, 9, 9), np.eye(4)).to_bytes())[:60])},
        "row 0: its compressed data is damaged or ends early; expected an intact gzip file",
    ),
    "half a picture": (
        {"nifti": in_json(b"\x89PNG\r\n\x1a\n" + SECRET.encode())},
        "row 0: not a readable PNG file; expected a complete picture",
    ),
    "a file of four axes": ({"nifti": nifti(box(4, 4, 4, 2))}, "row 0: shape 4x4x4x2; expected a 3-D volume"),
    "an array of two axes": (
        {"array": box(4, 4).tolist(), "spacing_mm": SIDES},
        "row 0: an array of shape 4x4; expected three axes, X, Y and Z, with voxels",
    ),
    "rows of unequal lengths": (
        {"array": [[[1, int(SECRET)]], [[1]]], "spacing_mm": SIDES},
        "row 0: array is no box of voxels; expected rows of equal lengths along X, Y and Z",
    ),
    "words": (
        {"array": [[[SECRET]]], "spacing_mm": SIDES},
        "row 0: an array of <U5; expected integers or floating-point numbers",
    ),
    "a file with NaN": (
        {"nifti": nifti(WITH_NAN)},
        "row 0: 1 of 64 voxels are NaN or infinite; expected finite intensities",
    ),
    "an array with NaN": (
        {"array": WITH_NAN.tolist(), "spacing_mm": SIDES},
        "row 0: 1 of 64 voxels are NaN or infinite; expected finite intensities",
    ),
    "no spacing": (
        {"array": BOX.tolist()},
        "row 0: array without spacing_mm; expected three numbers, the voxels' sides in millimetres",
    ),
    "two spacings": (
        {"array": BOX.tolist(), "spacing_mm": [1, 1]},
        "row 0: spacing_mm; expected three numbers, the voxels' sides in millimetres",
    ),
    "no size": (
        {"array": BOX.tolist(), "spacing_mm": [1, 0, 5]},
        "row 0: spacing 1.0x0.0x5.0 mm; expected three positive numbers",
    ),
    "too large": (
        {"nifti": nifti(np.zeros((128, 128, 80), np.uint8))},
        f"row 0: 1310720 voxels; expected at most {MOST}",
    ),
    "too wide": (
        {"array": BOX.tolist(), "spacing_mm": [5000, 5000, 90000]},
        f"row 0, as the network sees it: 256000000 voxels; expected at most {MOST}",
    ),
    "both": (
        {"nifti": nifti(BOX), "array": BOX.tolist(), "spacing_mm": SIDES},
        "row 0: nifti and array; expected one of nifti (a file's bytes), array with spacing_mm, and path",
    ),
    "neither": (
        {"spacing_mm": SIDES},
        "row 0: no scan; expected one of nifti (a file's bytes), array with spacing_mm, and path",
    ),
    "another column": ({"image": NOT_A_FILE}, "no scan; expected rows with a column nifti, array or path"),
    "a path": (
        {"path": "/etc/passwd"},
        "row 0: path; expected the file's bytes as nifti, since no file of this machine is opened",
    ),
}


def test_what_is_no_scan_gets_a_sentence_without_voxels_and_paths(served: Served) -> None:
    for name, (fields, sentence) in REFUSED.items():
        status, answer = served.server.ask(fields)
        assert (status, answer.get("message")) == (400, sentence), name
        assert SECRET not in str(answer), name
        assert "/" not in str(answer), name
        assert answer["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_path_is_refused_where_whoever_loads_the_model_does_not_allow_it(served: Served) -> None:
    question = pd.DataFrame({"path": [str(served.scans[0])]})
    with pytest.raises(MlflowException, match="no file of this machine is opened"):
        served.load().predict(question)
    with pytest.raises(MlflowException, match=r"gone\.nii: no such file"):
        served.load(paths=True).predict(pd.DataFrame({"path": ["gone.nii"]}))


def test_a_failure_of_the_model_itself_is_told_without_a_traceback(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = served.load().unwrap_python_model()
    monkeypatch.setattr(model, "predictor", None)
    with pytest.raises(MlflowException) as caught:
        served_rows = pd.DataFrame({"nifti": [NOT_A_FILE]})
        model.predict(type("Context", (), {"model_config": {"max_voxels": 1, "paths": False}}), served_rows)
    assert caught.value.get_http_status_code() == 500
    assert caught.value.message == "the model failed (AttributeError); its log says where"
    assert "a request was not answered" in caplog.text


def test_the_signature_and_the_example_say_what_may_be_sent(served: Served) -> None:
    model = served.load()
    assert model.metadata.signature.inputs.input_names() == ["nifti", "array", "path", "spacing_mm"]
    example = model.metadata.load_input_example(mlflow.artifacts.download_artifacts(served.uri))
    file, array = model.predict(example)["mask"]
    assert voxels(file).tolist() == array.tolist()
