"""What the pipeline makes, a TrainJob and the compiled pipeline, is checked by the same rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.code_graph import ROOT

from k8s.check.report import check
from k8s.check.targets import read_target
from pipelines.compile import compile_pipeline
from pipelines.training import pinned_image
from sss_ops.cluster.placement import TrainingPods
from sss_ops.cluster.trainjob import build_training_job

TAGGED = pinned_image().partition("@")[0] + ":v1.0"


def faults_of(file: Path) -> set[str]:
    """The names of the rules that a file breaks."""
    return {rule.__name__ for rule, _ in check(read_target(ROOT / "k8s", str(file))).faults}


@pytest.fixture
def job() -> dict[str, Any]:
    pods = TrainingPods(
        accelerator="nvidia.com/gpu",
        gpus=1,
        cpu=6,
        memory="24Gi",
        node_selector={"nvidia.com/gpu.present": "true"},
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        schedule_minutes=20,
    )
    made = build_training_job(
        identity="a" * 64, image=pinned_image(), nodes=2, pods=pods, arguments=["--steps", "4"], environment={}
    )
    return dict(json.loads(json.dumps(made)))  # free of what its parts share


def pod_spec(job: dict[str, Any]) -> dict[str, Any]:
    runtime = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]
    return dict(runtime["template"]["spec"]["replicatedJobs"][0]["template"]["spec"])["template"]["spec"]


@pytest.mark.parametrize(
    ("spoil", "rules"),
    [
        (lambda job: None, set()),
        (lambda job: job["spec"]["trainer"].update(numNode=2), {"schema"}),
        (lambda job: job["spec"]["trainer"].update(image=TAGGED), {"images_pinned"}),
        (lambda job: job["spec"]["trainer"]["resourcesPerNode"]["limits"].update(memory="1Gi"), {"resources"}),
        (lambda job: pod_spec(job).update(tolerations=[]), {"gpu_toleration"}),
        (lambda job: pod_spec(job).pop("nodeSelector"), {"gpu_selector"}),
        (lambda job: pod_spec(job)["securityContext"].update(runAsUser=0), {"restricted"}),
        (lambda job: pod_spec(job)["volumes"][0]["persistentVolumeClaim"].update(claimName="w"), {"references"}),
    ],
)
def test_a_train_job(job: dict[str, Any], tmp_path: Path, spoil: Callable[[Any], Any], rules: set[str]) -> None:
    spoil(job)
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    assert faults_of(file) == rules


def test_the_compiled_pipeline(tmp_path: Path) -> None:
    compile_pipeline(tmp_path)
    compiled = tmp_path / "sss-training.k8s.yaml"
    assert faults_of(compiled) == set()
    good = compiled.read_text()
    for old, new, rule in (
        (pinned_image(), TAGGED, "images_pinned"),
        ("secretName: sss-s3", "secretName: s3", "pipeline_references"),
        ("secretKey: AWS_SECRET_ACCESS_KEY", "secretKey: AWS_SECRET_KEY", "pipeline_references"),
        ("constant: sss-work", "constant: work", "pipeline_references"),
    ):
        assert old in good
        compiled.write_text(good.replace(old, new))
        assert faults_of(compiled) == {rule}, new
