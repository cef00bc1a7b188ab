"""Promotion: trained models measured against each other, the checks, and patients that neither saw."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from support.registered_models import as_if_trained_beside
from support.scores import score

from sss_model.checkpoint import Meta, load_checkpoint
from sss_model.config import Promotion
from sss_model.data.manifest import Manifest
from sss_model.errors import InputError
from sss_model.evaluation.metrics import Score
from sss_ops.cli import main
from sss_ops.registry.commands import comparison_table
from sss_ops.registry.decisions import decisions_of
from sss_ops.registry.promotion import ChampionComparison, unseen_cases
from sss_ops.registry.promotion_checks import check_promotion
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


def settings(**changes: Any) -> Promotion:
    values = {
        "min_patients": 2,
        "min_dice": 0,
        "margin": 0.02,
        "class_margins": {},
        "confidence": 0.95,
        "resamples": 1000,
    }
    return Promotion.model_validate(values | changes)


def rows(*, RV: float, LV: float, patients: int = 6, spread: float = 0.01) -> list[Score]:  # noqa: N803
    return [
        score(f"p{number}_a", name, dice + spread * (-1) ** number)
        for number in range(patients)
        for name, dice in (("RV", RV), ("LV", LV))
    ]


def test_as_good_in_every_class_is_good_enough() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.7, LV=0.81), settings(), seed=0)
    assert verdict.objections == []
    assert (verdict.patients, verdict.cases) == (6, 6)


def test_a_class_that_lost_more_than_its_margin_is_named_though_the_mean_rose() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.95, LV=0.75), settings(), seed=0)
    assert verdict.objections == ["LV: may lose up to 0.050 Dice against the champion; expected less than 0.02"]


def test_a_class_may_have_a_margin_of_its_own() -> None:
    wide = settings(class_margins={"LV": 0.1})
    assert check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.7, LV=0.75), wide, seed=0).objections == []


def test_too_little_evidence_does_not_hold() -> None:
    old = rows(RV=0.7, LV=0.8, patients=4)
    new = [score(row.case, row.class_name, row.dice + (0.2 if "p1" in row.case else -0.03)) for row in old]
    verdict = check_promotion(old, new, settings(), seed=0)
    assert verdict.checks[0].difference == pytest.approx(0.0275)
    assert verdict.objections[0].startswith("RV: may lose up to")


def test_a_class_that_no_or_one_patient_shows_is_not_judged() -> None:
    lone = [score("p0_a", "clot", 0.5), *(score(f"p{number}_a", "clot", None) for number in range(1, 6))]
    none = [score(f"p{number}_a", "scar", None) for number in range(6)]
    both = [*rows(RV=0.7, LV=0.8), *lone, *none]
    assert check_promotion(both, both, settings(), seed=0).objections == [
        "clot: one test patient alone shows it; expected at least two",
        "scar: no test case shows it; expected at least two patients who do",
    ]


def test_the_mean_must_reach_the_least_dice_with_and_without_a_champion() -> None:
    new = rows(RV=0.7, LV=0.8)
    sentence = r"mean Dice 0.750; expected at least 0.9 (promotion.min_dice)"
    assert check_promotion(None, new, settings(min_dice=0.9), seed=0).objections == [sentence]
    assert check_promotion(rows(RV=0.5, LV=0.5), new, settings(min_dice=0.9), seed=0).objections == [sentence]
    assert check_promotion(None, new, settings(min_dice=0.7), seed=0).objections == []


@pytest.mark.parametrize("champion", [None, rows(RV=0.7, LV=0.8)])
def test_prompted_rows_are_refused(champion: list[Score] | None) -> None:
    helped = [score(row.case, row.class_name, row.dice, prompt_source="oracle") for row in rows(RV=0.7, LV=0.8)]
    with pytest.raises(InputError, match=r"scored with prompts \(oracle\)"):
        check_promotion(champion, helped, settings(), seed=0)


def test_a_margin_for_a_class_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"promotion\.class_margins: found lv; expected classes of the data, RV, LV"):
        check_promotion(None, rows(RV=0.7, LV=0.8), settings(class_margins={"lv": 0.1}), seed=0)


def test_the_table_shows_every_number_that_decides() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.9, LV=0.75), settings(), seed=0)
    shown = comparison_table(ChampionComparison("heart", "2", "1", verdict, {}, {}))
    assert "heart version 2 against version 1 (champion), Dice on 6 scans of 6 test patients" in shown
    cells = {line.split()[0]: line.split()[1:] for line in shown.splitlines()[1:]}
    assert cells["RV"] == ["0.700", "0.900", "+0.200", "+0.200", "to", "+0.200", "-0.02", "holds"]
    assert cells["LV"] == ["0.800", "0.750", "-0.050", "-0.050", "to", "-0.050", "-0.02", "does", "not", "hold"]
    assert cells["mean"][:3] == ["0.750", "0.825", "+0.075"]


@pytest.fixture
def meta(checkpoint: Path) -> Meta:
    return load_checkpoint(checkpoint).meta


def saw(meta: Meta, **patients: list[str]) -> Meta:
    return meta.model_copy(update={"patients": meta.patients.model_copy(update=patients)})


def test_all_test_patients_that_are_new_to_both(meta: Meta, manifest: Manifest) -> None:
    test = manifest.split("test")
    assert unseen_cases(manifest, {"version 1": meta, "version 2": meta}, least=1) == test


@pytest.mark.parametrize("role", ["labelled", "unlabelled", "validation"])
def test_a_patient_that_one_of_them_saw_is_left_out_and_listed(meta: Meta, manifest: Manifest, role: str) -> None:
    patients = sorted({case.patient for case in manifest.split("test")})
    seen = saw(meta, **{role: patients[:1]})
    with pytest.raises(InputError) as caught:
        unseen_cases(manifest, {"version 1": seen, "version 2": meta}, least=len(patients))
    sentence = str(caught.value)
    assert f"{patients[0]} (version 1 saw the patient as {role})" in sentence
    assert f"expected at least {len(patients)} (promotion.min_patients)" in sentence
    assert sentence.startswith(f"test patients that neither model saw: {len(patients) - 1} (")


def test_an_image_under_another_name_takes_its_whole_patient_out(meta: Meta, manifest: Manifest) -> None:
    (first, *_) = manifest.split("test")
    assert meta.images
    known = meta.model_copy(update={"images": meta.images.model_copy(update={"unlabelled": [first.image_sha256]})})
    with pytest.raises(InputError, match=rf"{first.patient} \(version 2 saw the same image under another name\)"):
        unseen_cases(manifest, {"version 1": meta, "version 2": known}, least=20)
    others = {case.patient for case in manifest.split("test")} - {first.patient}
    if others:
        left = unseen_cases(manifest, {"version 1": meta, "version 2": known}, least=1)
        assert {case.patient for case in left} == others


def test_scans_without_a_label_judge_nothing(meta: Meta, manifest: Manifest) -> None:
    bare = Manifest(tuple(replace(case, labelled=False) for case in manifest.cases), manifest.labels)
    with pytest.raises(InputError, match="neither model saw: 0; expected at least 1"):
        unseen_cases(bare, {"version 1": meta}, least=1)


def test_a_checkpoint_of_an_older_make_is_known_by_its_patients_alone(meta: Meta, manifest: Manifest) -> None:
    older = meta.model_copy(update={"images": None})
    assert unseen_cases(manifest, {"version 1": older}, least=1) == manifest.split("test")
