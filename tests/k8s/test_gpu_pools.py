"""Each GPU pool is where the profile of its name in sss_ops/cluster/pools.yaml looks for it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml
from support.code_graph import ROOT

from k8s.check.objects import pods
from k8s.check.targets import read_target

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
