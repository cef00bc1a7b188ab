"""The manifests as they are: every one passes, and they say what the pipeline takes for granted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.code_graph import ROOT
from support.kubelet import container_of

from k8s.check.__main__ import command
from k8s.check.objects import Target, pods
from k8s.check.report import check, placeholders
from k8s.check.targets import read_target, target_names

OVERLAYS = ("aks", "eks", "gke", "local")


def test_everything_holds_and_the_table_says_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    command([], ROOT / "k8s")
    shown = capsys.readouterr().out
    assert all(name in shown for name in target_names(ROOT / "k8s"))
    assert all(f"overlays/{overlay}" in shown for overlay in OVERLAYS)
    assert "Kubernetes 1.34 and 1.37" in shown
    assert shown.rstrip().endswith("13 checked, 0 faults")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_what_the_pipeline_takes_for_granted(overlay: str) -> None:
    target = read_target(ROOT / "k8s", f"overlays/{overlay}")
    names = {str(found) for found in target.objects}
    assert names >= {
        "ConfigMap/sss-s3",
        "PersistentVolumeClaim/sss-work",
        "PriorityClass/sss-training",
        "RoleBinding/sss-pipeline",
        "Service/sss-mlflow",
        "Service/sss-postgres",
    }
    assert ("Service/sss-s3" in names) == (overlay in ("aks", "local"))
    (port,) = target.known("Service")["sss-mlflow"].spec["ports"]
    assert port["port"] == 5000
    assert {found.namespace for found in target.objects} == {"kubeflow", None}


def test_the_pipelines_rights_are_those_of_a_launcher(local: Target) -> None:
    rules = {
        resource: set(rule["verbs"])
        for rule in local.known("Role")["sss-pipeline"].document["rules"]
        for resource in rule["resources"]
    }
    assert rules == {
        "trainjobs": {"create", "get", "list", "watch", "delete"},
        "pods": {"get", "list", "watch"},
        "pods/log": {"get"},
    }
    subjects = local.known("RoleBinding")["sss-pipeline"].document["subjects"]
    assert {subject["name"] for subject in subjects} == {"pipeline-runner", "default-editor"}


def test_on_eks_mlflow_opens_its_bucket_by_role_alone() -> None:
    target = read_target(ROOT / "k8s", "overlays/eks")
    container = container_of(target, "Deployment/sss-mlflow", "mlflow")
    assert container["envFrom"] == [{"configMapRef": {"name": "sss-s3"}}]
    assert (
        "eks.amazonaws.com/role-arn" in target.known("ServiceAccount")["sss-mlflow"].document["metadata"]["annotations"]
    )


def test_another_namespace_is_one_word_in_an_overlay(manifests: Path) -> None:
    overlay = manifests / "overlays/local/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("namespace: kubeflow", "namespace: team-a"))
    target = read_target(manifests, "overlays/local")
    assert {found.namespace for found in target.objects} == {"team-a", None}
    assert check(target).faults == []


def test_a_managed_database_is_one_line_in_an_overlay(manifests: Path) -> None:
    overlay = manifests / "overlays/gke/kustomization.yaml"
    line = "  - ../../components/cloud-store\n"
    overlay.write_text(overlay.read_text().replace(line, line + "  - ../../components/external-postgres\n"))
    target = read_target(manifests, "overlays/gke")
    assert check(target).faults == []
    assert target.own("StatefulSet") == []
    assert target.known("Service")["sss-postgres"].spec == {
        "type": "ExternalName",
        "externalName": "REPLACE.database.example.com",
    }
    for name in ("migrate", "mlflow"):
        assert {"name": "PGSSLMODE", "value": "require"} in container_of(target, "Deployment/sss-mlflow", name)["env"]


def test_what_a_person_has_yet_to_fill_in_is_told() -> None:
    notes = "\n".join(placeholders(ROOT / "k8s"))
    assert "k8s/overlays/gke/s3-config.yaml: 1 value(s) called REPLACE" in notes
    assert "overlays/local" not in notes


def test_external_secrets_fill_every_key_of_the_template() -> None:
    target = read_target(ROOT / "k8s", "secrets/external-secrets.yaml")
    filled = {found.name: {item["secretKey"] for item in found.spec["data"]} for found in target.objects}
    assert (
        filled
        == target.secrets
        == {
            "sss-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
            "sss-postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
        }
    )


def test_everything_of_ours_runs_the_one_image(local: Target) -> None:
    (image,) = yaml.safe_load((ROOT / "k8s/image/kustomization.yaml").read_text())["images"]
    ours = {c["image"] for pod in pods(local) for c in pod.containers() if "sss@" in c["image"]}
    assert ours == {f"{image['newName']}@{image['digest']}"}
