"""Trained models, measured against each other and promoted, as a user would."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from support.registered_models import as_if_trained_beside

from sss_ops.cli import main
from sss_ops.registry.decisions import decisions_of
from sss_ops.steps.register import register

MODEL = "sss-phantom"
Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def registered(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, checkpoint: Path, steps: Path, cohort: Path
) -> Path:
    """A store with three versions: the trained one, the same one again, and one that lost its way."""
    folder = tmp_path_factory.mktemp("registered")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for number, change in enumerate([None, None, torch.zeros_like]):
            trained = as_if_trained_beside(checkpoint, folder / f"checkpoint{number}", cohort, change)
            register(
                checkpoint=trained,
                metrics=steps / "metrics.json",
                evaluation=steps / "evaluation",
                validation=steps / "validation/report.html",
                data_version=steps / "data_version.json",
                params=steps / "params.yaml",
                output=folder / "registration.json",
                card=folder / "model_card.md",
                manifest=None,
                predictions=None,
            )
    return folder


@pytest.fixture
def sss(registered: Path, cohort: Path, steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Sss:
    """Runs a command line in a folder with a recipe and data; returns its exit code, its answer and its complaint."""
    shutil.copyfile(registered / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    Path("data").mkdir()
    Path("data/phantom").symlink_to(cohort)
    recipe = yaml.safe_load((steps / "params.yaml").read_text())
    recipe["promotion"] = {**recipe["promotion"], "min_patients": 2, "resamples": 1000}
    Path("params.yaml").write_text(yaml.safe_dump(recipe))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sss", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


def client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow.get_tracking_uri())


def aliases() -> dict[str, str]:
    return {alias: str(version) for alias, version in client().get_registered_model(MODEL).aliases.items()}


def set_promotion(**changes: object) -> None:
    recipe = yaml.safe_load(Path("params.yaml").read_text())
    recipe["promotion"].update(changes)
    Path("params.yaml").write_text(yaml.safe_dump(recipe))


def test_a_first_version_then_one_as_good_then_back(sss: Sss) -> None:
    code, said, _ = sss("promote", MODEL, "--version", "1", "--reason", "the first")
    assert code == 0
    assert "no champion: its mean Dice alone is checked" in said
    assert said.endswith("sss-phantom: version 1 is the champion\n")
    code, said, _ = sss("promote", MODEL, "--version", "2")
    assert code == 0
    assert "version 2 against version 1 (champion), Dice on 4 scans of 2 test patients" in said
    assert said.endswith("version 2 is the champion, it was version 1\n")
    assert aliases() == {"champion": "2", "previous": "1", "challenger": "3"}
    version = client().get_model_version(MODEL, "2")
    record = decisions_of(version.tags)[-1]
    assert (record["data_version"], record["cases"]) == ("0" * 32, 4)
    # Equal weights on equal scans: nothing may differ.
    assert record["dice"]["cavity"]["interval"] == [0.0, 0.0]
    (kept,) = client().list_artifacts(version.run_id, "promotion")
    rows = [mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{kept.path}/{role}.csv") for role in ROLES]
    assert [len(pd.read_csv(path)) for path in rows] == [12, 12]
    assert {source for path in rows for source in pd.read_csv(path)["prompt_source"]} == {"none"}
    code, said, _ = sss("rollback", MODEL, "--reason", "a test")
    assert said == "sss-phantom: version 1 is the champion, it was version 2\n"
    _, said, _ = sss("registry", MODEL)
    assert "rolled back to 1" in said
    assert "warning" not in said


ROLES = ("champion", "challenger")


def test_a_worse_model_is_refused_with_the_reason_and_nothing_moves(sss: Sss) -> None:
    sss("promote", MODEL, "--version", "1")
    before = client().get_registered_model(MODEL)
    set_promotion(margin=0)  # which not even an equal one keeps
    code, said, complaint = sss("promote", MODEL, "--version", "3")
    assert code == 2
    assert "does not hold" in said
    assert complaint.startswith("error: sss-phantom version 3 is not promoted: ")
    assert "Dice against the champion; expected less than 0" in complaint
    after = client().get_registered_model(MODEL)
    assert (after.aliases, after.tags) == (before.aliases, before.tags)
    assert client().list_artifacts(client().get_model_version(MODEL, "3").run_id, "promotion") == []


def test_explain_shows_the_table_and_moves_nothing(sss: Sss) -> None:
    code, said, _ = sss("promote", MODEL, "--version", "1", "--explain")
    assert (code, aliases()) == (0, {"challenger": "3"})
    assert said.endswith("all checks hold; nothing was moved\n")
    set_promotion(min_dice=0.99)
    code, said, _ = sss("promote", MODEL, "--version", "1", "--explain")
    assert code == 0
    assert "a check does not hold: mean Dice 0." in said
    assert sss("promote", MODEL, "--version", "1")[0] == 2


def test_too_few_new_patients_are_listed(sss: Sss) -> None:
    set_promotion(min_patients=3)
    code, _, complaint = sss("promote", MODEL, "--version", "1")
    assert (code, complaint) == (
        2,
        "error: test patients that neither model saw: 2 (phantom011, phantom012); "
        "expected at least 3 (promotion.min_patients)\n",
    )


def test_other_data_than_the_version_s_own_must_be_asked_for(sss: Sss, phantom: Path, cohort: Path) -> None:
    Path("data/phantom").unlink()
    code, _, complaint = sss("promote", MODEL, "--version", "1")
    assert code == 2
    assert "data/phantom: no such folder; expected the scans of sss-phantom version 1" in complaint
    Path("data/phantom").symlink_to(phantom)
    code, _, complaint = sss("promote", MODEL, "--version", "1")
    assert code == 2
    assert "another version of the data than sss-phantom version 1 was trained with" in complaint
    assert sss("promote", MODEL, "--version", "1", "--data", str(cohort))[0] == 0
    assert decisions_of(client().get_model_version(MODEL, "1").tags)[-1]["data_version"] == "given"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("promote", MODEL, "--version", "9"), "sss-phantom: no version 9; expected one that `sss registry"),
        (("promote", "liver", "--version", "1"), "liver: no such model in MLflow"),
        (("registry", "liver"), "liver: no such model in MLflow"),
        (("rollback", MODEL), "no version has the alias previous"),
        (("promote", MODEL, "--version", "1", "--params", "x.yaml"), "x.yaml: no such file"),
        (("promote", MODEL, "--version", "1", "--data", "nowhere"), "nowhere"),
    ],
)
def test_what_can_not_be_is_one_sentence(sss: Sss, arguments: tuple[str, ...], sentence: str) -> None:
    code, _, complaint = sss(*arguments)
    assert code == 2
    assert complaint.startswith("error: ")
    assert sentence in complaint
    assert complaint.count("\n") == 1


def test_the_champion_is_not_promoted_again(sss: Sss) -> None:
    sss("promote", MODEL, "--version", "1")
    code, _, complaint = sss("promote", MODEL, "--version", "1")
    assert (code, "version 1 is the champion already" in complaint) == (2, True)


def test_a_served_champion_that_was_moved_by_hand_says_so_in_its_log(sss: Sss, caplog) -> None:
    sss("promote", MODEL, "--version", "1")
    assert _warnings_of_loading(caplog) == []
    client().set_registered_model_alias(MODEL, "champion", "2")
    (warning,) = _warnings_of_loading(caplog)
    assert warning == (
        "sss-phantom version 2 is the champion, but the one that passed the promotion checks is version 1: set by hand"
    )


def _warnings_of_loading(caplog: pytest.LogCaptureFixture) -> list[str]:
    import threading

    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="sss.served_model"):
        mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
        for thread in threading.enumerate():
            if thread.name == "champion":
                thread.join()
    return [record.getMessage() for record in caplog.records if record.name == "sss.served_model"]
