"""`sss train` from a version of a registered model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import yaml

from sss_model.checkpoint import load_checkpoint, read_meta
from sss_model.files import sha256
from sss_ops.serving.package import register_model
from sss_ops.steps import train_distributed
from sss_ops.storage.parent_model import pinned_recipe
from sss_ops.tracking.store import tracking_client

Train = Callable[..., int]


def from_model(name: str) -> dict[str, object]:
    return {"train.init_from": name, "train.steps": 1}


def register(checkpoint: Path) -> mlflow.MlflowClient:
    client = tracking_client()
    Path("card.md").write_text("A card.")
    with mlflow.start_run():
        version = register_model(client, checkpoint, name="heart", tags={}, card=Path("card.md"))
    client.set_registered_model_alias("heart", "champion", version)
    return client


def test_a_training_goes_on_from_the_champion_and_records_which_version_that_was(
    sss_train: Train, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(checkpoint)
    assert sss_train(from_model("models:/heart@champion"), "tuned") == 0
    tuned = load_checkpoint(Path("tuned"))
    assert tuned.meta.origin is not None
    assert tuned.meta.origin.model == tuned.config.train.init_from == "models:/heart/1"
    assert tuned.meta.origin.weights_sha256 == sha256(checkpoint / "weights.pt")
    assert tuned.meta.origin.patients == read_meta(checkpoint / "meta.json").patients

    recipes: list[str] = []
    monkeypatch.setattr(
        train_distributed.subprocess,
        "run",
        lambda command: (
            recipes.append(Path(command[command.index("--params") + 1]).read_text())
            or type("Done", (), {"returncode": 0})
        ),
    )
    paths = dict.fromkeys(("data_dir", "manifest", "data_version", "output"), tmp_path)
    train_distributed.train_on_gpus(params=Path("params.yaml"), **paths, work="/sss/work", gpus=2)
    assert yaml.safe_load(recipes[0])["train"]["init_from"] == "models:/heart/1"


def test_a_folder_is_a_model_too_and_an_alias_is_looked_up_when_it_is_used(sss_train: Train, checkpoint: Path) -> None:
    client = register(checkpoint)
    assert sss_train(from_model(str(checkpoint)), "child") == 0
    register(Path("child"))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(str(checkpoint), "models:/heart@champion"))
    for version in ("2", "1"):
        client.set_registered_model_alias("heart", "champion", version)
        with pinned_recipe(Path("params.yaml")) as exact:
            assert yaml.safe_load(exact.read_text())["train"]["init_from"] == f"models:/heart/{version}"


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("models:/heart/7/weights", "train.init_from: models:/heart/7/weights: not the address of a model; expected"),
        ("models:/heart@champion", "train.init_from: heart: no such model"),
        ("models:/heart/7", "train.init_from: heart: no such model"),
        ("nowhere", "nowhere: no checkpoint there; expected a folder with weights.pt and meta.json"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(
    sss_train: Train, capfd: pytest.CaptureFixture[str], named: str, sentence: str
) -> None:
    assert sss_train(from_model(named), "tuned") == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {sentence}")
    assert not Path("tuned").exists()
    assert not Path(".runs").exists()
