"""Audit of an evaluation, from its artifacts alone: the facts for a reviewer, and every contradiction."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sss_model.checkpoint import Meta, read_meta
from sss_model.data.manifest import Case, Manifest, read_manifest
from sss_model.errors import InputError
from sss_model.evaluation.calibration import read_calibration_error
from sss_model.evaluation.leaks import leak_check, leaks
from sss_model.evaluation.metrics import Score
from sss_model.evaluation.provenance import FILE, Provenance, digest_of, hash_files, read_provenance, short_form
from sss_model.evaluation.summary import SUMMARY_FILE, aggregate, count, main_figures
from sss_model.evaluation.tables import read_scores
from sss_model.files import sha256

_SUMMARY = f"evaluation/{SUMMARY_FILE}"
_ROUNDING = 2e-6  # files hold six decimals


@dataclass(frozen=True)
class EvaluationFiles:
    """The files and folders that an audit reads, wherever each of them lies.

    Attributes:
        checkpoint, predictions, evaluation: folders.
        metrics, manifest, data_version: ``metrics.json``, ``manifest.csv`` and ``data_version.json``; the last may be
            missing.
    """

    checkpoint: Path
    predictions: Path
    evaluation: Path
    metrics: Path
    manifest: Path
    data_version: Path

    @classmethod
    def in_folder(cls, folder: Path) -> EvaluationFiles:
        """All of them in one folder, under their usual names."""
        return cls(
            checkpoint=folder / "checkpoint",
            predictions=folder / "predictions",
            evaluation=folder / "evaluation",
            metrics=folder / "metrics.json",
            manifest=folder / "manifest.csv",
            data_version=folder / "data_version.json",
        )


@dataclass(frozen=True)
class Run:
    """Everything an audit reads, read once."""

    files: EvaluationFiles
    provenance: Provenance
    meta: Meta
    manifest: Manifest
    scores: list[Score]
    summary: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases that should have been scored."""
        return self.manifest.split(self.provenance.split)


@dataclass(frozen=True)
class Audit:
    """What the artifacts prove, as (topic, fact), and a sentence for everything that contradicts them."""

    facts: list[tuple[str, str]]
    findings: list[str]

    def as_text(self) -> str:
        """The facts, one a line.

        >>> print(Audit([("weights", "3fd1…"), ("code", "5d2c…")], []).as_text(), end="")
        weights  3fd1…
        code     5d2c…
        """
        width = max(len(topic) for topic, _ in self.facts)
        return "".join(f"{topic:{width}}  {fact}\n" for topic, fact in self.facts)


def audit(folder: Path) -> Audit:
    """Audit a folder with ``checkpoint/``, ``predictions/``, ``evaluation/``, ``metrics.json`` and ``manifest.csv``.

    As `audit_files`, which says what is checked.
    """
    return audit_files(EvaluationFiles.in_folder(folder))


def audit_files(files: EvaluationFiles) -> Audit:
    """Audit what an evaluation left.

    The hashes of all files are taken again; the means, intervals and counts in ``summary.json`` and the figures in
    ``metrics.json`` are computed again from ``cases.csv``; who was scored is compared with the manifest and with whom
    the checkpoint saw; the step that the checkpoint says was best, with its history. Where a file can't be read, what
    follows from it is left out.

    Raises:
        InputError: no evaluation is recorded there.
    """
    provenance = read_provenance(files.evaluation)
    findings = list(_changed_files(files, provenance))
    try:
        run = _read(files, provenance)
    except InputError as error:
        return Audit([("provenance", sha256(files.evaluation / FILE))], [*findings, str(error)])
    checks: list[Callable[[Run], Iterator[str]]] = [
        _changed_means,
        _who_was_scored,
        _how_it_was_measured,
        _how_it_was_chosen,
        _which_data,
    ]
    for check in checks:
        findings += _run_check(check, run)
    return Audit(_facts(run), findings)


def _run_check(check: Callable[[Run], Iterator[str]], run: Run) -> list[str]:
    found: list[str] = []
    try:
        found.extend(check(run))
    except InputError as error:
        found.append(str(error))
    return found


def _read(files: EvaluationFiles, provenance: Provenance) -> Run:
    return Run(
        files=files,
        provenance=provenance,
        meta=read_meta(files.checkpoint / "meta.json"),
        manifest=read_manifest(files.manifest),
        scores=read_scores(files.evaluation / "cases.csv"),
        summary=_read_json(files.evaluation / SUMMARY_FILE),
        metrics=_read_json(files.metrics),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected what sss evaluate leaves") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; expected what sss evaluate leaves")
    return content


def _changed_files(files: EvaluationFiles, provenance: Provenance) -> Iterator[str]:
    folders = {"checkpoint": files.checkpoint, "predictions": files.predictions, "evaluation": files.evaluation}
    found = hash_files(folders)
    if files.metrics.is_file():
        found["metrics.json"] = sha256(files.metrics)
    for name, expected in provenance.files.items():
        if name not in found:
            yield f"{name}: missing; expected the file that the evaluation left, SHA-256 {expected}"
        elif found[name] != expected:
            yield f"{name}: changed, SHA-256 {found[name]}; expected {expected}, as evaluated"
    for name in sorted(found.keys() - provenance.files.keys()):
        yield f"{name}: the evaluation left no such file; expected none"


def _changed_means(run: Run) -> Iterator[str]:
    if run.summary.get("provenance") != short_form(run.provenance.files):
        yield f"{_SUMMARY}: its section provenance differs from {FILE}; expected the same hashes"
    cavity = run.summary.get("ejection", {}).get("class")
    expected = aggregate(run.scores, ejection_class=cavity)
    for key, value in expected.items():
        for place, said, computed in _differences(run.summary.get(key), value, key):
            yield f"{_SUMMARY}: {place} is {said}; expected {computed}, computed again from cases.csv"
    figures = main_figures(expected)
    for key in sorted(figures.keys() | run.metrics.keys()):
        for place, said, computed in _differences(run.metrics.get(key), figures.get(key), key):
            yield f"metrics.json: {place} is {said}; expected {computed}, computed again from cases.csv"


def _differences(said: Any, computed: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(said, dict) and isinstance(computed, dict):
        for key in sorted(said.keys() | computed.keys()):
            yield from _differences(said.get(key), computed.get(key), f"{place}.{key}")
    elif isinstance(said, int | float) and isinstance(computed, int | float):
        if not math.isclose(said, computed, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            yield place, said, computed
    elif said != computed:
        yield place, said, computed


def _who_was_scored(run: Run) -> Iterator[str]:
    split, patients = run.provenance.split, sorted({row.patient for row in run.scores})
    yield from (f"split {split}: {leak}" for leak in leaks(run.meta, run.cases, split=split))
    structures = [name for name, value in run.manifest.labels.items() if value]
    expected = {(case.case, case.patient, case.group, name) for case in run.cases for name in structures}
    scored = {(row.case, row.patient, row.group, row.class_name) for row in run.scores}
    for row in sorted(expected ^ scored):
        found = "no row" if row in expected else "a row"
        yield f"cases.csv: {found} of {row[3]} of {row[0]}, patient {row[1]}; expected the manifest's, each class once"
    if len(scored) != len(run.scores):
        yield "cases.csv: a class of a case has several rows; expected one"
    if patients != run.provenance.patients:
        names = ", ".join(run.provenance.patients)
        yield f"{FILE}: it names {names}; expected those of cases.csv, {', '.join(patients)}"


def _how_it_was_measured(run: Run) -> Iterator[str]:
    recorded = {
        "split": run.provenance.split,
        "leak_check": run.provenance.leak_check,
        "tolerance_mm": run.provenance.settings.tolerance_mm,
    }
    for key, value in recorded.items():
        if run.summary.get(key) != value:
            yield f"{_SUMMARY}: {key} is {run.summary.get(key)}; expected {value}, as in {FILE}"
    if run.provenance.leak_check != leak_check(run.meta):
        yield f"{FILE}: patients were compared by {run.provenance.leak_check}; expected {leak_check(run.meta)}"
    cavity = run.provenance.settings.cavity(run.manifest.labels)
    if run.summary.get("ejection", {}).get("class") != cavity:
        yield f"{_SUMMARY}: ejection fraction of another class; expected that of {cavity}, as in {FILE}"
    said = run.summary.get("calibration", {}).get("expected_calibration_error")
    for _, _, computed in _differences(said, read_calibration_error(run.files.evaluation / "calibration.csv"), ""):
        yield f"{_SUMMARY}: calibration error {said}; expected {computed}, computed again from calibration.csv"


def _how_it_was_chosen(run: Run) -> Iterator[str]:
    validations = _validations(run)
    if validations is None:
        yield "checkpoint/history.csv: can't be read; expected columns step and val_dice"
        return
    best = validations[validations["step"] == run.meta.best_step]["val_dice"]
    if not len(best) or not math.isclose(best.iloc[0], run.meta.val_dice, abs_tol=1e-9):
        yield (
            f"checkpoint/meta.json: step {run.meta.best_step} with a validation Dice of {run.meta.val_dice} is not in "
            "history.csv; expected the step that was chosen"
        )
    elif validations["val_dice"].max() > run.meta.val_dice:
        yield f"checkpoint/meta.json: step {run.meta.best_step} is not the best one of history.csv; expected it to be"


def _validations(run: Run) -> pd.DataFrame | None:
    try:
        return pd.read_csv(run.files.checkpoint / "history.csv")[["step", "val_dice"]].dropna()
    except (OSError, ValueError, KeyError):
        return None


def _which_data(run: Run) -> Iterator[str]:
    manifest = sha256(run.files.manifest)
    if manifest != run.provenance.manifest_sha256:
        yield f"manifest.csv: changed, SHA-256 {manifest}; expected {run.provenance.manifest_sha256}, as evaluated"
    if run.provenance.data_version != run.meta.data_version:
        yield (
            f"{FILE}: data version {run.provenance.data_version}; expected the checkpoint's, {run.meta.data_version}"
        )
    if run.files.data_version.is_file():
        record = _read_json(run.files.data_version)
        if record.get("manifest_sha256") != manifest:
            yield "data_version.json: of another manifest; expected the SHA-256 of manifest.csv"
        if manifest == run.meta.manifest_sha256 and record.get("version") != run.meta.data_version:
            yield (
                f"data_version.json: version {record.get('version')}; expected {run.meta.data_version}, "
                "which the checkpoint was trained on with the same manifest"
            )


def _facts(run: Run) -> list[tuple[str, str]]:
    meta, record = run.meta, run.provenance
    validations = _validations(run)
    tried = "an unknown number of" if validations is None else str(len(validations))
    same = "the evaluated one" if meta.manifest_sha256 == record.manifest_sha256 else "another than the evaluated one"
    seen = meta.patients.model_dump().items()
    masks = sum(name.startswith("predictions/") for name in record.files)
    counts = count(run.scores).items()
    return [
        ("weights", record.files.get("checkpoint/weights.pt", "not recorded")),
        ("code", meta.git_revision or "not known"),
        ("data version", meta.data_version),
        ("trained by", f"manifest {meta.manifest_sha256}, {same}"),
        *([("started from", f"{meta.origin.model}, weights {meta.origin.weights_sha256}")] if meta.origin else []),
        *((f"saw as {role}", f"{len(names)} patients: {', '.join(names) or 'nobody'}") for role, names in seen),
        ("selection", f"step {meta.best_step}, the best of {tried} validations, Dice {meta.val_dice:.4f}"),
        ("scored", f"{len(record.patients)} {record.split} patients: {', '.join(record.patients)}"),
        ("compared by", record.leak_check),
        ("evaluated by", f"manifest {record.manifest_sha256}"),
        ("prompts", str(run.summary.get("prompt_source"))),
        ("structures", ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in counts)),
        ("predictions", f"{masks} masks, {digest_of(record.files, 'predictions')}"),
        ("cases.csv", record.files.get("evaluation/cases.csv", "not recorded")),
        ("summary.json", record.files.get(_SUMMARY, "not recorded")),
        ("metrics.json", record.files.get("metrics.json", "not recorded")),
        ("provenance", sha256(run.files.evaluation / FILE)),
    ]
