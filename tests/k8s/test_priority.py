"""The policy that gives a run's pods their priority speaks of things that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.code_graph import ROOT

from k8s.check.objects import Target
from k8s.check.report import check
from k8s.check.schemas import versions
from k8s.check.targets import read_target
from pipelines.compile import NAME

FILE = "priority/policy.yaml"


@pytest.fixture(scope="module")
def target() -> Target:
    return read_target(ROOT / "k8s", FILE)


def test_it_sets_the_class_that_the_base_makes_on_workflows_of_our_pipeline(target: Target) -> None:
    spec = target.own("MutatingAdmissionPolicy")[0].spec
    (mutation,) = spec["mutations"]
    (name,) = re.findall(r'path: "/spec/podPriorityClassName", value: "([a-z-]+)"', mutation["jsonPatch"]["expression"])
    assert name in target.known("PriorityClass")
    (condition,) = spec["matchConditions"]
    # Kubeflow names a run's workflow for its pipeline.
    assert set(re.findall(r'"(.*?)"', condition["expression"])) == {f"{NAME}-"}


def test_its_binding_names_it(target: Target) -> None:
    (binding,) = target.own("MutatingAdmissionPolicyBinding")
    assert binding.spec["policyName"] in target.known("MutatingAdmissionPolicy")


def test_only_versions_that_know_such_policies_judge_it(target: Target) -> None:
    assert [versions(found) for found in target.objects] == [["1.37"], ["1.37"]]


@pytest.mark.parametrize(
    ("old", "new"),
    [("matchConditions:", "matchCondition:"), ("kind: MutatingAdmissionPolicy\n", "kind: MutatingPolicy\n")],
)
def test_a_typo_in_it_is_caught(manifests: Path, old: str, new: str) -> None:
    file = manifests / FILE
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert {rule.__name__ for rule, _ in check(read_target(manifests, FILE)).faults} == {"schema"}
