import os

import pytest

from sss_model.errors import InputError
from sss_ops.cluster.pod import in_pod, recipe_file


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSS_IMAGE_DIGEST", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_step_knows_its_image_and_the_tracking_server() -> None:
    with in_pod(image="registry/sss@sha256:1", mlflow="http://sss-mlflow:5000"):
        assert os.environ["SSS_IMAGE_DIGEST"] == "registry/sss@sha256:1"
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://sss-mlflow:5000"


def test_kubeflow_s_own_tracking_server_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://kubeflow")
    with in_pod(image="sss", mlflow="http://sss-mlflow:5000"):
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://kubeflow"


def test_input_that_can_t_be_used_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, in_pod(image="sss"):
        raise InputError("scan.nii: empty; expected voxels")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: scan.nii: empty; expected voxels\n"


def test_any_other_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), in_pod(image="sss"):
        _ = 1 / 0


def test_a_recipe_travels_as_text_and_arrives_as_a_file() -> None:
    with recipe_file("seed: 1\n") as path:
        assert path.read_text() == "seed: 1\n"
    assert not path.exists()
