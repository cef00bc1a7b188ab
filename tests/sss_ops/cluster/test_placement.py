"""Where a training's pods run, and what a task's pod sets for itself."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sss_model.errors import InputError
from sss_ops.cluster.placement import POOLS, Placement, place_training, read_pools
from sss_ops.cluster.pod import in_pod, recipe_file

GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def placed(pool: str = "bare", **wishes: Any) -> Placement:
    return place_training(pool, **{"gpus": 1, "nodes": 1, "spot": False, "work": "/sss/work", **wishes})


@pytest.mark.parametrize("pool", read_pools())
def test_a_pod_with_gpus_is_told_how_many_and_where(pool: str) -> None:
    placement = placed(pool)
    assert (placement.accelerator, placement.accelerator_count) == ("nvidia.com/gpu", "1")
    assert placement.node_selector == read_pools()[pool].node_selector != {}
    assert GPU_TAINT in placement.tolerations
    assert placement.trainer == {}


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("pool", read_pools())
def test_without_gpus_no_limit_selector_or_toleration_is_left(pool: str, nodes: int) -> None:
    placement = placed(pool, gpus=0, nodes=nodes)
    told = placement.trainer if nodes > 1 else placement.model_dump()
    assert (placement.accelerator, placement.accelerator_count) == ("", "")
    assert (told["accelerator"], told["node_selector"], told["tolerations"]) == ("", {}, [])


def test_cpus_and_memory_grow_with_the_gpus() -> None:
    assert (placed(gpus=1).cpu, placed(gpus=1).memory) == ("6", "24Gi")
    assert (placed(gpus=4).cpu, placed(gpus=4).memory, placed(gpus=4).accelerator_count) == ("24", "96Gi", "4")
    assert (placed(gpus=0).cpu, placed(gpus=0).memory) == ("4", "12Gi")


def test_spot_adds_to_the_pool_and_replaces_a_label_of_the_same_name() -> None:
    selector = placed("eks", spot=True).node_selector
    assert selector == placed("eks").node_selector | {"eks.amazonaws.com/capacityType": "SPOT"}
    assert placed("eks").node_selector["eks.amazonaws.com/capacityType"] == "ON_DEMAND"
    assert placed("gke", spot=True).node_selector["cloud.google.com/gke-spot"] == "true"
    keys = [toleration["key"] for toleration in placed("aks", spot=True).tolerations]
    assert keys == ["nvidia.com/gpu", "sku", "kubernetes.azure.com/scalesetpriority"]


def test_with_several_nodes_the_pod_itself_holds_nothing_and_the_trainers_pods_do() -> None:
    placement = placed(gpus=2, nodes=3)
    assert (placement.accelerator, placement.accelerator_count) == ("", "")
    assert (placement.node_selector, placement.tolerations) == ({}, [])
    assert (placement.cpu, placement.memory) == ("1", "2Gi")
    alone = placed(gpus=2)
    assert placement.trainer == {
        "accelerator": "nvidia.com/gpu",
        "gpus": 2,
        "cpu": 12,
        "memory": alone.memory,
        "node_selector": alone.node_selector,
        "tolerations": alone.tolerations,
        "schedule_minutes": 60,
    }


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"pool": "azure"}, "pool 'azure': unknown; expected one of aks, bare, eks, gke"),
        ({"gpus": -1}, "gpus: found -1; expected 0 .* or more"),
        ({"gpus": 9}, "gpus: found 9, but a node of pool 'bare' has 8; expected at most 8, or more nodes"),
        ({"nodes": 0}, "nodes: found 0; expected 1 or more"),
        ({"spot": True}, "spot: pool 'bare' has no spot nodes; switch spot off"),
        ({"pool": "gke", "gpus": 0, "spot": True}, "spot: .* gpus is 0; switch spot off or ask for a GPU"),
        ({"nodes": 2, "work": "s3://sss-work"}, "work: found s3://sss-work with 2 nodes.* ReadWriteMany.* or 1 node"),
    ],
)
def test_what_the_pool_cannot_give_is_refused_with_the_way_out(wishes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        placed(**wishes)


def test_a_bucket_will_do_for_one_node_and_cpus_for_several() -> None:
    assert placed(work="s3://sss-work").trainer == {}
    assert placed(gpus=0, nodes=2).trainer["gpus"] == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda pool: pool.pop("per_gpu"), "gke.per_gpu: Field required"),
        (lambda pool: pool.update(gpu_per_node=2), "gke.gpu_per_node: Extra inputs"),
        # YAML reads a bare true as a truth value, which is no label's value.
        (lambda pool: pool["spot"]["node_selector"].update({"cloud.google.com/gke-spot": True}), "valid string"),
        (lambda pool: pool["tolerations"][0].update(effect="NoShedule"), "gke.tolerations.0.effect"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, change: Any, sentence: str) -> None:
    pools = yaml.safe_load(POOLS.read_text())
    change(pools["gke"])
    (tmp_path / "pools.yaml").write_text(yaml.safe_dump(pools))
    with pytest.raises(InputError, match=sentence):
        place_training("bare", gpus=0, nodes=1, spot=False, work="/sss/work", pools=tmp_path / "pools.yaml")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSS_IMAGE_DIGEST", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_step_knows_its_image_and_the_tracking_server() -> None:
    with in_pod(image="registry/sss@sha256:1", mlflow="http://sss-mlflow:5000"):
        assert os.environ["SSS_IMAGE_DIGEST"] == "registry/sss@sha256:1"
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://sss-mlflow:5000"


def test_kubeflow_s_own_tracking_server_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://kubeflow")
    with in_pod(image="sss", mlflow="http://sss-mlflow:5000"):
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://kubeflow"


def test_input_that_can_t_be_used_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, in_pod(image="sss"):
        raise InputError("scan.nii: empty; expected voxels")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: scan.nii: empty; expected voxels\n"


def test_any_other_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), in_pod(image="sss"):
        _ = 1 / 0


def test_a_recipe_travels_as_text_and_arrives_as_a_file() -> None:
    with recipe_file("seed: 1\n") as path:
        assert path.read_text() == "seed: 1\n"
    assert not path.exists()
