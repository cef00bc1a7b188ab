"""A version's evidence, its audit and its release folder, from the registry alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.registered_models import FILES, MODEL, register_it
from support.registry import trial

from sss_model.checkpoint import read_meta
from sss_model.errors import InputError
from sss_model.evaluation.tables import read_scores
from sss_model.files import sha256
from sss_ops.checksums import write_sums
from sss_ops.cli import main
from sss_ops.registry.evidence import EVIDENCE_TAG, evidence_place
from sss_ops.registry.promotion import ChampionComparison, promote_version
from sss_ops.registry.rollback import roll_back

Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, evaluated: Path) -> Path:
    """A store with a version; what the steps left is gone. Not to be changed."""
    folder = tmp_path_factory.mktemp("registered")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    gone = Path(shutil.copytree(evaluated, folder / "steps"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        register_it(gone, folder)
    shutil.rmtree(gone)
    return folder


@pytest.fixture
def sss(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sss:
    """Runs a command line in an empty folder; returns its exit code, its answer and its complaint."""
    shutil.copyfile(registered / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["sss", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def client(sss: Sss, tmp_path: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def evidence(client: mlflow.MlflowClient, registered: Path, tmp_path: Path) -> Path:
    """What was kept of version 1, in a place where it may be changed."""
    version = client.get_model_version(MODEL, "1")
    kept = next((registered / "mlruns").rglob(evidence_place(version.tags[EVIDENCE_TAG])))
    backup = Path(shutil.copytree(kept, tmp_path / "backup"))
    yield kept
    shutil.rmtree(kept)
    shutil.copytree(backup, kept)


def promoted(client: mlflow.MlflowClient, version: str, champion: str | None) -> None:
    bare = trial(version, champion)
    rows = {"challenger": read_scores(Path(client.download_artifacts(run_of(client), "evaluation/cases.csv")))}
    promote_version(
        client, ChampionComparison(MODEL, version, champion, bare.verdict, rows, bare.data), reason="good enough"
    )


def run_of(client: mlflow.MlflowClient) -> str:
    return str(client.get_model_version(MODEL, "1").run_id)


def test_a_release_is_whole_and_its_hashes_hold(sss: Sss, client: mlflow.MlflowClient, evaluated: Path) -> None:
    promoted(client, "1", None)
    code, said, complaint = sss("release", MODEL, "out")
    assert (code, complaint) == (0, "")
    assert said == "sss-phantom version 1, approved: out\n"
    assert {path.name for path in Path("out").iterdir()} == {*FILES, "promotion"}
    assert [path.name for path in Path().iterdir()] == ["out"]
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd="out", capture_output=True, text=True
    )
    files = [path for path in Path("out").rglob("*") if path.is_file()]
    assert (checked.returncode, len(checked.stdout.splitlines())) == (0, len(files) - 1)
    for name in ("report.html", "cases.csv", "provenance.json", "overlays"):
        for path in [evaluated / "evaluation" / name, *(evaluated / "evaluation" / name).glob("*")]:
            if path.is_file():
                assert (Path("out") / path.relative_to(evaluated / "evaluation")).read_bytes() == path.read_bytes()
    assert Path("out/model_card.md").read_text() == client.get_model_version(MODEL, "1").description


def test_the_approval_says_who_when_why_and_by_which_numbers(sss: Sss, client: mlflow.MlflowClient) -> None:
    promoted(client, "1", None)
    sss("release", MODEL, "out", "--version", "1")
    record = json.loads(Path("out/approval.json").read_text())
    decision = record["decision"]
    assert (record["status"], record["champion"], record["warning"]) == ("approved", "1", None)
    assert {"id", "who", "when"} <= decision.keys()
    assert (decision["why"], decision["dice"]["mean"]["challenger"]) == ("good enough", 0.8)
    assert len(read_scores(Path("out/promotion", decision["id"], "challenger.csv"))) > 0


def test_a_version_that_nobody_promoted_is_released_as_not_approved(sss: Sss, client: mlflow.MlflowClient) -> None:
    code, said, _ = sss("release", MODEL, "out", "--version", "1")
    assert (code, said) == (0, "sss-phantom version 1, not approved: out\n")
    record = json.loads(Path("out/approval.json").read_text())
    assert (record["status"], record["decision"], record["decisions"]) == ("not approved", None, [])
    client.set_registered_model_alias(MODEL, "champion", "1")
    code, said, complaint = sss("release", MODEL, "out", "--replace")
    assert (code, "not approved" in said) == (0, True)
    assert complaint.startswith(
        "warning: the champion is version 1, but the one that passed the promotion checks is none yet"
    )
    assert json.loads(Path("out/approval.json").read_text())["warning"] in complaint


def test_an_approval_ends_with_a_better_one_or_a_rollback(sss: Sss, client: mlflow.MlflowClient) -> None:
    client.create_model_version(MODEL, "s3://bucket/model")
    promoted(client, "1", None)
    promoted(client, "2", "1")
    assert "version 1, replaced" in sss("release", MODEL, "replaced", "--version", "1")[1]
    roll_back(client, MODEL)
    assert "version 1, approved" in sss("release", MODEL, "again")[1]
    roll_back(client, MODEL)
    roll_back(client, MODEL)
    roll_back(client, MODEL)
    assert "version 1, withdrawn" in sss("release", MODEL, "withdrawn", "--version", "1")[1]


def test_the_bill_is_valid_and_names_weights_data_code_and_packages(
    sss: Sss, client: mlflow.MlflowClient, evaluated: Path
) -> None:
    sss("release", MODEL, "out", "--version", "1")
    text = Path("out/sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    weights = bill["metadata"]["component"]
    assert (weights["name"], weights["type"]) == (MODEL, "machine-learning-model")
    assert weights["hashes"][0]["content"] == sha256(evaluated / "checkpoint/weights.pt")
    parts = {part["bom-ref"]: part for part in bill["components"]}
    assert (parts["data"]["name"], parts["data"]["version"]) == ("phantom", "0" * 32)
    assert parts["code"].get("version") == read_meta(evaluated / "checkpoint/meta.json").git_revision
    packed = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/1/requirements.txt")).read_text().split()
    assert set(packed) <= parts.keys()
    numpy = next(part for ref, part in parts.items() if ref.startswith("numpy=="))
    assert numpy["purl"] == f"pkg:pypi/numpy@{numpy['version']}"
    # The phantom has no licence, and some packages declare none.
    assert len([ref for ref, part in parts.items() if not part.get("licenses")]) < 0.05 * len(parts)
    assert parts["code"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    known = {reference["ref"]: reference.get("dependsOn", []) for reference in bill["dependencies"]}
    assert set(known["code"]) >= set(packed)
    # What a requirement needs in turn is there, too: pandas needs dateutil.
    assert any(
        ref.startswith("python-dateutil==") for ref in known[next(ref for ref in known if ref[:8] == "pandas==")]
    )


@pytest.mark.parametrize("address", ["models:/sss-phantom/1", "models:/sss-phantom@challenger", "RUN", "runs:/RUN"])
def test_a_version_is_audited_by_any_of_its_names(sss: Sss, client: mlflow.MlflowClient, address: str) -> None:
    code, said, complaint = sss("audit", address.replace("RUN", run_of(client)))
    assert (code, complaint) == (0, "")
    assert "sss-phantom version 1, run " in said
    assert "saw as labelled" in said
    assert said.endswith("nothing contradicts the record: all hashes, and all means computed again, are as evaluated\n")
    assert list(Path().iterdir()) == []


CHANGES: dict[str, Callable[[Path], object]] = {
    "evaluation/cases.csv": lambda path: path.write_text(path.read_text() + "\n"),
    "evaluation/summary.json": lambda path: path.write_text(path.read_text().replace('"split": "test"', "")),
    "metrics.json": lambda path: path.write_text(path.read_text().replace('"cases": ', '"cases": 1')),
    "model_card.md": lambda path: path.write_text(path.read_text() + "It is perfect.\n"),
    "sbom.cdx.json": lambda path: path.unlink(),
    "predictions/more.nii.gz": lambda path: path.write_bytes(b""),
    "validation.html": lambda path: path.write_text("passed"),
    "manifest.csv": lambda path: path.write_text(path.read_text() + "\n"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_in_the_store_is_found_and_not_released(sss: Sss, evidence: Path, name: str) -> None:
    CHANGES[name](evidence / name)
    code, said, complaint = sss("audit", f"models:/{MODEL}/1")
    assert code == 2
    assert all(line.startswith("error: ") for line in complaint.splitlines())
    assert any(line.startswith(f"error: {name}: ") for line in complaint.splitlines())
    assert "/tmp" not in complaint
    assert "nothing contradicts" not in said
    code, _, complaint = sss("release", MODEL, "out", "--version", "1")
    assert code == 2
    assert complaint.startswith("error: sss-phantom version 1 is not released: ")
    assert complaint.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_change_is_found_though_all_hashes_beside_it_were_repaired(sss: Sss, evidence: Path) -> None:
    (evidence / "model_card.md").write_text("# It is perfect.\n")
    write_sums(evidence)
    code, _, complaint = sss("audit", f"models:/{MODEL}/1")
    assert code == 2
    assert complaint.startswith("error: SHA256SUMS: changed, SHA-256 ")


def test_a_tag_that_was_changed_is_found(sss: Sss, client: mlflow.MlflowClient) -> None:
    client.set_model_version_tag(MODEL, "1", "dice", "0.99")
    code, _, complaint = sss("audit", f"models:/{MODEL}/1")
    assert (code, complaint.startswith("error: tag dice: 0.99; expected 0.")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("audit", "nowhere"),
            "nowhere: no such folder; expected a folder with an evaluation, or a run's id, models:/",
        ),
        (("audit", "models:/liver/1"), "liver: no such model in MLflow"),
        (("audit", "models:/sss-phantom/9"), "sss-phantom: no version 9; expected one that `sss registry"),
        (("audit", "models:/sss-phantom@champion"), "sss-phantom: no version has the alias champion"),
        (("audit", "0" * 32), "run 0{32}: no version of a model came of it"),
        (("audit", "models:/a/b/c"), "models:/a/b/c: not the address of a model"),
        (("release", MODEL, "out"), "sss-phantom: no version has the alias champion"),
        (("release", MODEL, "out", "--version", "2"), "sss-phantom version 2: no evaluation was kept with it"),
        (("release", f"{MODEL}@x", "out", "--version", "1"), "sss-phantom@x/1: not the address of a model"),
    ],
)
def test_what_can_not_be_is_one_sentence(
    sss: Sss, client: mlflow.MlflowClient, arguments: tuple[str, ...], sentence: str
) -> None:
    client.create_model_version(MODEL, "s3://bucket/model")
    code, _, complaint = sss(*arguments)
    assert code == 2
    assert complaint.startswith("error: ")
    assert re.search(sentence, complaint)
    assert complaint.count("\n") == 1
    assert not Path("out").exists()


def test_what_is_in_the_way_stays(sss: Sss) -> None:
    Path("out").mkdir()
    Path("out/mine").write_text("mine")
    code, _, complaint = sss("release", MODEL, "out", "--version", "1")
    assert (code, complaint) == (2, "error: out: not empty; expected a new folder, or --replace\n")
    assert Path("out/mine").read_text() == "mine"
    code, _, complaint = sss("release", MODEL, "out/mine", "--version", "1", "--replace")
    assert (code, complaint) == (2, "error: out/mine: a file is there; expected a new folder\n")
    assert sss("release", MODEL, "out", "--version", "1", "--replace")[0] == 0
    assert not Path("out/mine").exists()


def test_a_second_registration_of_a_training_leaves_the_first_one_s_evidence(
    sss: Sss, client: mlflow.MlflowClient, evaluated: Path, tmp_path: Path
) -> None:
    # The run of the first is the run of the second where its checkpoint names it.
    steps = Path(shutil.copytree(evaluated, tmp_path / "steps"))
    (steps / "checkpoint/tracking.json").write_text(json.dumps({"run_id": run_of(client)}))
    (steps / "validation/report.html").write_text("another")
    register_it(steps, tmp_path)
    assert client.get_model_version(MODEL, "2").run_id == run_of(client)
    for version in ("1", "2"):
        code, _, complaint = sss("audit", f"models:/{MODEL}/{version}")
        assert (code, complaint) == (0, "")
    code, _, complaint = sss("audit", run_of(client))
    assert (code, "expected one of models:/sss-phantom/1, models:/sss-phantom/2" in complaint) == (2, True)


def test_an_evaluation_of_another_checkpoint_is_not_registered(
    store: mlflow.MlflowClient, evaluated: Path, tmp_path: Path
) -> None:
    steps = Path(shutil.copytree(evaluated, tmp_path / "steps"))
    with (steps / "checkpoint/weights.pt").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=r"the evaluation can't be registered: checkpoint/weights\.pt: changed, SHA"):
        register_it(steps, tmp_path)
    with pytest.raises(InputError, match=r"predictions: no such file; expected what an earlier step writes"):
        register_it(evaluated, tmp_path, predictions=tmp_path / "predictions")
    shutil.copyfile(evaluated / "checkpoint/weights.pt", steps / "checkpoint/weights.pt")
    (steps / "evaluation/provenance.json").unlink()
    with pytest.raises(InputError, match=r"registered: evaluation/provenance\.json: no such file"):
        register_it(steps, tmp_path)
    assert store.search_registered_models() == []
    assert not (tmp_path / "model_card.md").exists()
