"""The checks of manifests: faults are found and named, what the pipeline makes is held against the same rules."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT

from k8s.check.__main__ import check_manifests
from k8s.check.report import check_target
from k8s.check.targets import read_target
from pipelines.compile import compile_pipeline
from pipelines.training import pinned_image
from sss_model.errors import InputError
from sss_ops.cluster.placement import TrainingPods
from sss_ops.cluster.trainjob import build_training_job

MLFLOW = "base/mlflow-deployment.yaml"
POSTGRES = "base/postgres-statefulset.yaml"
STORE = "components/object-store/statefulset.yaml"
GPU = "gpu-pools/gke/placement.yaml"
DIGEST = yaml.safe_load((ROOT / "k8s/image/kustomization.yaml").read_text())["images"][0]["digest"]
PLANTED = """apiVersion: v1
kind: Secret
metadata: {name: planted}
---
apiVersion: v1
"""
LIVENESS = """          livenessProbe:
            httpGet: {path: /healthz, port: s3}
            periodSeconds: 30
            timeoutSeconds: 10
"""
SELECTOR = """      nodeSelector:
        cloud.google.com/gke-accelerator: nvidia-l4
"""


@dataclass(frozen=True)
class Break:
    """Text of a file under k8s/ that is replaced once, and the rule that objects."""

    rule: str
    file: str
    old: str
    new: str

    @property
    def target(self) -> str:
        return "gpu-pools/gke" if self.file.startswith("gpu-pools") else "overlays/local"


BREAKS = {
    "a typo in a field": Break("schema", MLFLOW, "replicas: 1", "replica: 1"),
    "a number where a string belongs": Break("schema", MLFLOW, 'value: "5432"', "value: 5432"),
    "an unknown kind": Break("schema", "base/priority-class.yaml", "kind: PriorityClass", "kind: PriorityKlass"),
    "a version that is gone": Break("schema", "base/priority-class.yaml", "k8s.io/v1", "k8s.io/v1beta1"),
    "an object without our label": Break(
        "part_of_label", "gpu-pools/check/kustomization.yaml", "part-of: sss", "part-of: x"
    ),
    "our image by tag": Break("images_pinned", "image/kustomization.yaml", f"digest: {DIGEST}", "newTag: v1.0"),
    "a third party's latest": Break("images_pinned", STORE, "seaweedfs:4.48", "seaweedfs:latest"),
    "a third party without a tag": Break("images_pinned", POSTGRES, "postgres:17.11-bookworm", "postgres"),
    "a missing limit": Break("resources", POSTGRES, 'limits: {cpu: "1", memory: 1Gi}', "limits: {memory: 1Gi}"),
    "a request above its limit": Break("resources", STORE, "{cpu: 100m, memory: 512Mi}", "{cpu: 100m, memory: 4Gi}"),
    "no probe": Break("probes", STORE, LIVENESS, ""),
    "a root user": Break("restricted", POSTGRES, "runAsUser: 999", "runAsUser: 0"),
    "no seccomp profile": Break("restricted", STORE, "seccompProfile: {type: RuntimeDefault}", ""),
    "privileges that may grow": Break("restricted", POSTGRES, "allowPrivilegeEscalation: false", ""),
    "a capability kept": Break("restricted", POSTGRES, "{drop: [ALL]}", "{drop: [ALL], add: [NET_ADMIN]}"),
    "a folder of the node": Break("restricted", STORE, "emptyDir: {sizeLimit: 1Gi}", "hostPath: {path: /tmp}"),
    "a GPU without a toleration": Break("gpu_toleration", GPU, "key: nvidia.com/gpu", "key: example.com/gpu"),
    "a GPU without a selector": Break("gpu_selector", GPU, SELECTOR, ""),
    "a literal password": Break(
        "no_secret_values",
        POSTGRES,
        "valueFrom: {secretKeyRef: {name: sss-postgres, key: POSTGRES_PASSWORD}}",
        "value: hunter2",
    ),
    "a password in an address": Break(
        "no_secret_values", MLFLOW, "postgresql+psycopg2://", "postgresql+psycopg2://mlflow:hunter2@sss-postgres/mlflow"
    ),
    "a Secret object": Break("no_secret_values", "base/s3-config.yaml", "apiVersion: v1\n", PLANTED),
    "a missing key of a secret": Break("references", MLFLOW, "key: POSTGRES_USER", "key: POSTGRES_USERNAME"),
    "a missing secret": Break("references", STORE, "{name: sss-s3, key: AWS_ACCESS", "{name: s3, key: AWS_ACCESS"),
    "a missing account": Break("references", MLFLOW, "serviceAccountName: sss-mlflow", "serviceAccountName: mlflow"),
    "a service that picks no pod": Break(
        "service_targets", "base/mlflow-service.yaml", "name: sss-mlflow\n  ports", "name: mlflow\n  ports"
    ),
    "a service's port that no pod has": Break(
        "service_targets", "base/postgres-service.yaml", "targetPort: postgres", "targetPort: sql"
    ),
    "a pod that no policy covers": Break(
        "network_policies",
        "base/default-deny.yaml",
        "operator: Exists}\n  policyTypes: [Ingress, Egress]",
        "operator: DoesNotExist}\n  policyTypes: [Ingress, Egress]",
    ),
    "a policy's port that no pod has": Break(
        "network_policies", "base/mlflow-network.yaml", "port: http", "port: https"
    ),
    "a wildcard among rights": Break(
        "rights_by_name", "base/pipeline-role.yaml", "verbs: [get, list, watch]", 'verbs: ["*"]'
    ),
    "a right to read secrets": Break("rights_by_name", "base/pipeline-role.yaml", "[pods/log]", "[pods/log, secrets]"),
    "an account of another namespace": Break(
        "subjects_in_namespace",
        "overlays/local/kustomization.yaml",
        "kubeflow}\n    setRoleBindingSubjects: allServiceAccounts",
        "team-a}",
    ),
    "a token for the API": Break("accounts_without_token", MLFLOW, "automountServiceAccountToken: false", ""),
}


def apply(broken: Break, manifests: Path) -> None:
    file = manifests / broken.file
    text = file.read_text()
    assert broken.old in text
    file.write_text(text.replace(broken.old, broken.new, 1))


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_one_rule_objects(broken: Break, manifests: Path) -> None:
    apply(broken, manifests)
    faults = check_target(read_target(manifests, broken.target)).faults
    assert {rule.__name__ for rule, _ in faults} == {broken.rule}


def test_a_fault_is_one_line_with_overlay_object_what_and_expected(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(BREAKS["a missing key of a secret"], manifests)
    for other in ("overlays/aks", "overlays/gke", "overlays/eks", "gpu-pools/bare", "gpu-pools/aks"):
        shutil.rmtree(manifests / other)
    with pytest.raises(SystemExit) as exit_:
        check_manifests([], manifests)
    assert exit_.value.code == 1
    line = (
        "fault: overlays/local: Deployment/sss-mlflow: Secret sss-postgres has no key POSTGRES_USERNAME; "
        "expected one of ['POSTGRES_DB', 'POSTGRES_PASSWORD', 'POSTGRES_USER'] [references]"
    )
    assert line in capsys.readouterr().out.splitlines()


def test_a_template_with_a_value_is_refused(manifests: Path) -> None:
    template = manifests / "secrets/template.yaml"
    template.write_text(template.read_text().replace("POSTGRES_PASSWORD: REPLACE", "POSTGRES_PASSWORD: hunter2"))
    with pytest.raises(InputError, match="POSTGRES_PASSWORD of the secret sss-postgres has a value; expected REPLACE"):
        read_target(manifests, "overlays/local")


def test_a_folder_that_cannot_be_rendered_is_named(manifests: Path) -> None:
    (manifests / "base/mlflow-service.yaml").unlink()
    with pytest.raises(InputError, match=r"overlays/local can't be rendered: .*mlflow-service\.yaml"):
        read_target(manifests, "overlays/local")


TAGGED = pinned_image().partition("@")[0] + ":v1.0"


def faults_of(file: Path) -> set[str]:
    """The names of the rules that a file breaks."""
    return {rule.__name__ for rule, _ in check_target(read_target(ROOT / "k8s", str(file))).faults}


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
