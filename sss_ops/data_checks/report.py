"""The data checks' report: one self-contained HTML page, failed rules first."""

from __future__ import annotations

from itertools import groupby

import jinja2

from sss_ops.data_checks.evidence import DataEvidence
from sss_ops.data_checks.rule import Outcome

_SIDES = (("train", "Training"), ("val", "Validation"), ("test", "Test"))
MOST_SENTENCES = 20
"""Shown of each rule; a whole cohort may break one."""


def make_page(name: str, evidence: DataEvidence, outcomes: list[Outcome]) -> str:
    """HTML that loads nothing from elsewhere; equal outcomes give equal pages."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sss_ops.data_checks"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    groups = [(title, list(same)) for title, same in groupby(outcomes, key=lambda outcome: outcome.group)]
    return environment.get_template("report.html").render(
        name=name,
        groups=sorted(((title, _failed_first(same)) for title, same in groups), key=lambda group: -_failures(group[1])),
        failed=_failures(outcomes),
        rules=len(outcomes),
        most=MOST_SENTENCES,
        sides=[_side(evidence, split, what) for split, what in _SIDES],
        structures=list(evidence.manifest.labels)[1:],
        label_patients=len({case.patient for case in evidence.used_labels}),
    )


def _failures(outcomes: list[Outcome]) -> int:
    return sum(bool(outcome.sentences) for outcome in outcomes)


def _failed_first(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: not outcome.sentences)


def _side(evidence: DataEvidence, split: str, what: str) -> dict[str, object]:
    cases = evidence.manifest.split(split)
    return {
        "name": what,
        "patients": len({case.patient for case in cases}),
        "labelled_patients": len({case.patient for case in cases if case.labelled}),
        "cases": len(cases),
        "slices": sum(case.slices for case in cases),
        "drawn": [sum(bool(case.voxels.get(name)) for case in cases) for name in list(evidence.manifest.labels)[1:]],
    }
