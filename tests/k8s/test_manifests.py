"""The manifests hold: overlays, GPU pools, priorities, and servers that start from their command lines."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from support.containers import command_line, container_of, environment_of, free_ports, running
from support.paths import ROOT

from k8s.check.__main__ import check_manifests
from k8s.check.objects import Target, pods
from k8s.check.report import check_target, placeholders
from k8s.check.schemas import versions
from k8s.check.targets import read_target, target_names
from pipelines.compile import NAME

OVERLAYS = ("aks", "eks", "gke", "local")


def test_everything_holds_and_the_table_says_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    check_manifests([], ROOT / "k8s")
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
    assert check_target(target).faults == []


def test_a_managed_database_is_one_line_in_an_overlay(manifests: Path) -> None:
    overlay = manifests / "overlays/gke/kustomization.yaml"
    line = "  - ../../components/cloud-store\n"
    overlay.write_text(overlay.read_text().replace(line, line + "  - ../../components/external-postgres\n"))
    target = read_target(manifests, "overlays/gke")
    assert check_target(target).faults == []
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


POOLS = yaml.safe_load((ROOT / "sss_ops/cluster/pools.yaml").read_text())
FOLDER = ROOT / "k8s/gpu-pools"


@pytest.mark.parametrize("name", POOLS)
def test_the_check_runs_where_a_training_does(name: str) -> None:
    (pod,) = pods(read_target(ROOT / "k8s", f"gpu-pools/{name}"))
    assert pod.spec["nodeSelector"] == POOLS[name]["node_selector"]
    assert pod.spec["tolerations"] == POOLS[name]["tolerations"]
    (container,) = pod.containers()
    assert container["resources"]["limits"][POOLS[name]["accelerator"]] == "1"


def test_without_gpus_the_check_asks_for_none_and_still_writes_on_the_volume() -> None:
    (pod,) = pods(read_target(ROOT / "k8s", "gpu-pools/without-gpu"))
    (container,) = pod.containers()
    assert {amount for side in container["resources"].values() for amount in side} == {"cpu", "memory"}
    assert "nodeSelector" not in pod.spec
    assert '"/sss/work/' in container["args"][0]
    assert {"name": "work", "mountPath": "/sss/work"} in container["volumeMounts"]
    assert pod.spec["securityContext"]["fsGroup"] == 10001


def test_eks_node_groups_carry_the_profiles_labels_and_taint() -> None:
    (config,) = read_target(ROOT / "k8s", "gpu-pools/eks/node-group.yaml").objects
    on_demand, spot = config.document["managedNodeGroups"]
    assert on_demand["instanceType"] == POOLS["eks"]["node_selector"]["node.kubernetes.io/instance-type"]
    assert spot["instanceTypes"] == [on_demand["instanceType"]]
    assert spot["spot"] and "spot" not in on_demand
    assert {taint["key"] for group in (on_demand, spot) for taint in group["taints"]} == {"nvidia.com/gpu"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gke", ("type=nvidia-l4,count=1", "g2-standard-8", "cloud.google.com/gke-spot=true:NoSchedule")),
        ("aks", ("Standard_NC24ads_A100_v4", "sku=gpu:NoSchedule", "--priority Spot")),
    ],
)
def test_the_commands_that_make_a_pool_parse_and_ask_what_they_need(name: str, words: tuple[str, ...]) -> None:
    script = FOLDER / name / "create-pool.sh"
    assert all(word in script.read_text() for word in words)
    subprocess.run(["bash", "-n", str(script)], check=True)
    # Without its variables it stops before it calls the cloud's tool, which is not on this PATH either.
    bash = str(shutil.which("bash"))
    asked = subprocess.run([bash, str(script)], env={"PATH": "/nonexistent"}, capture_output=True, text=True)
    assert asked.returncode != 0
    assert "of the cluster" in asked.stderr


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
    assert {rule.__name__ for rule, _ in check_target(read_target(manifests, FILE)).faults} == {"schema"}


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
DATABASE = {"POSTGRES_USER": "mlflow", "POSTGRES_PASSWORD": "p@ss:w/or%d", "POSTGRES_DB": "mlflow"}
INNER = ("master.port", "volume.port", "filer.port", "s3.port.grpc", "master.port.grpc", "volume.port.grpc")


@pytest.fixture(scope="module")
def store(local: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """SeaweedFS as the manifest starts it; the port of each of its parts."""
    container = container_of(local, "StatefulSet/sss-s3", "seaweedfs")
    folder = tmp_path_factory.mktemp("store")
    names = ("s3.port", *INNER, "filer.port.grpc")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = command_line(container, {}, {"-dir": str(folder), "-s3.port": str(ports["s3.port"])})
    command += [f"-{name}={port}" for name, port in ports.items() if name != "s3.port"]
    path = container["readinessProbe"]["httpGet"]["path"]
    health = f"http://127.0.0.1:{ports['s3.port']}{path}"
    with running(command, environment_of(local, container, KEYS), folder, lambda: status(health) == 200):
        yield ports


@pytest.fixture(scope="module")
def buckets(local: Target, store: dict[str, int]) -> dict[str, str]:
    """What the Job that makes the buckets said, run twice; with where they are."""
    container = container_of(local, "Job/sss-buckets", "buckets")
    environment = {**environment_of(local, container, KEYS), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store['s3.port']}"}
    said = [run(command_line(container, environment, {}), environment) for _ in range(2)]
    return {"first": said[0], "second": said[1], "address": environment["AWS_ENDPOINT_URL"]}


@pytest.fixture(scope="module")
def mlflow_server(local: Target, buckets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow as the manifest migrates and starts it, on SQLite and with one worker."""
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    migrate, server = (container_of(local, "Deployment/sss-mlflow", name) for name in ("migrate", "mlflow"))
    given = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db", "AWS_ENDPOINT_URL": buckets["address"]}
    environment = {**environment_of(local, migrate, DATABASE), **given}
    run(command_line(migrate, environment, {}), environment)
    environment = {**environment_of(local, server, KEYS | DATABASE), **given}
    command = command_line(server, environment, {"--port": str(port), "--workers": "1"})
    health = f"http://127.0.0.1:{port}{server['readinessProbe']['httpGet']['path']}"
    with running(command, environment, folder, lambda: status(health) == 200):
        yield f"http://127.0.0.1:{port}"


def status(url: str, host: str | None = None) -> int:
    """The answer's status to a GET; 0 when nobody answers."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def client(address: str, key: str) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key,
    )


def test_the_job_makes_the_three_buckets_and_leaves_them_alone_the_second_time(buckets: dict[str, str]) -> None:
    names = ("sss-data", "sss-mlflow", "sss-work")
    assert buckets["first"].splitlines() == [f"{name} made" for name in names]
    assert buckets["second"].splitlines() == [f"{name} was there" for name in names]


def test_the_store_refuses_a_wrong_key(buckets: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(buckets["address"], "guessed").list_buckets()


def test_only_the_gateway_that_asks_for_keys_listens_beyond_loopback(store: dict[str, int]) -> None:
    def answers(address: str, port: int) -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection((address, port), timeout=5):
            return True
        return False

    assert all(answers("127.0.0.1", port) for port in store.values())
    assert {name for name, port in store.items() if answers("127.0.0.2", port)} == {"s3.port", "s3.port.grpc"}


def test_mlflow_answers_under_the_services_names_and_to_nobody_elses(local: Target, mlflow_server: str) -> None:
    namespace = "kubeflow"
    for host in ("sss-mlflow", f"sss-mlflow.{namespace}", f"sss-mlflow.{namespace}.svc.cluster.local", "localhost"):
        assert status(f"{mlflow_server}/version", f"{host}:5000") == 200
        assert status(mlflow_server, f"{host}:5000") == 200
    assert status(mlflow_server, "sss-mlflow.example.com:5000") == 403


def test_an_artifact_goes_through_mlflow_into_its_bucket(
    buckets: dict[str, str], mlflow_server: str, tmp_path: Path
) -> None:
    url = f"{mlflow_server}/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/report.html"
    request = urllib.request.Request(url, data=b"a report", method="PUT", headers={"Host": "sss-mlflow:5000"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    stored = client(buckets["address"], KEYS["AWS_SECRET_ACCESS_KEY"])
    body = stored.get_object(Bucket="sss-mlflow", Key="1/run/artifacts/report.html")["Body"]
    assert body.read() == b"a report"


def test_the_databases_address_holds_no_password_and_its_driver_is_installed(local: Target) -> None:
    from sqlalchemy import create_engine

    container = container_of(local, "Deployment/sss-mlflow", "mlflow")
    address = environment_of(local, container, KEYS | DATABASE)["MLFLOW_BACKEND_STORE_URI"]
    assert create_engine(address).dialect.driver == "psycopg2"
    assert create_engine(address).url.password is None
