import copy
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

from sss_ops.cluster.placement import TrainingPods, place_training
from sss_ops.cluster.trainjob import Owner, build_training_job

IDENTITY = "0123456789abcdef" * 4


def job(*, pool: str = "eks", gpus: int = 1, **changes: Any) -> dict[str, Any]:
    trainer = place_training(pool, gpus=gpus, nodes=2, spot=False, work="/sss/work").trainer
    return build_training_job(
        identity=IDENTITY,
        image="registry/sss@sha256:0",
        nodes=2,
        pods=TrainingPods.model_validate(trainer),
        **{"arguments": ["--params", "/sss/work/params.yaml"], "environment": {}, **changes},
    )


def pod_template(made: dict[str, Any]) -> dict[str, Any]:
    (patch,) = made["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["name"] == "node"
    return replicated["template"]["spec"]["template"]


@pytest.fixture(scope="module")
def schema() -> Validator:
    """Kubeflow Trainer's own schema, with every field that it does not know forbidden."""
    found = TrainerV1alpha1TrainJob.model_json_schema(by_alias=True)
    close(found)
    # The generator wraps what is a plain string or number in the API into an object.
    for name in ("IoK8sApimachineryPkgApiResourceQuantity", "IoK8sApimachineryPkgUtilIntstrIntOrString"):
        if name in found["$defs"]:
            found["$defs"][name] = {"type": ["string", "number"]}
    return validator_for(found)(found)


def close(node: Any) -> None:
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        close(child)
    if isinstance(node, dict) and "properties" in node:
        node["additionalProperties"] = False


@pytest.mark.parametrize("owner", [None, Owner("train-pod", "uid-1")])
@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("pool", ["gke", "eks", "aks", "bare"])
def test_trainer_knows_every_field(schema: Validator, pool: str, gpus: int, owner: Owner | None) -> None:
    schema.validate(job(pool=pool, gpus=gpus, owner=owner))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made["spec"].update(podTemplateOverrides=[]),
        lambda made: made["spec"]["trainer"].update(numNode=2),
        lambda made: made["spec"]["trainer"].update(numProcPerNode="auto"),
        lambda made: made["spec"].pop("runtimeRef"),
        lambda made: pod_template(made)["spec"].update(nodeSelecter={}),
        lambda made: pod_template(made)["spec"].update(priorityClassName="sss-training"),
        lambda made: pod_template(made)["spec"]["volumes"][0].update(persistentVolumeClaim={"name": "sss-work"}),
        lambda made: made["spec"]["trainer"]["env"][-1]["valueFrom"]["configMapKeyRef"].update(optinal=True),
    ],
)
def test_trainer_refuses_a_slip(schema: Validator, spoil: Callable[[dict[str, Any]], Any]) -> None:
    made = copy.deepcopy(job())
    spoil(made)
    with pytest.raises(ValidationError):
        schema.validate(made)


def test_torchrun_gets_one_process_a_gpu_and_the_steps_own_arguments() -> None:
    trainer = job(pool="bare", gpus=4)["spec"]["trainer"]
    assert trainer["command"] + trainer["args"] == [
        *("torchrun", "-m", "sss_ops", "train"),
        *("--params", "/sss/work/params.yaml"),
    ]
    assert (trainer["image"], trainer["numNodes"], trainer["numProcPerNode"]) == ("registry/sss@sha256:0", 2, 4)
    assert trainer["resourcesPerNode"]["limits"] == {"cpu": "24", "memory": "96Gi", "nvidia.com/gpu": "4"}
    assert trainer["resourcesPerNode"]["requests"] == trainer["resourcesPerNode"]["limits"]


def test_on_cpus_one_process_uses_them_all_and_no_gpu_is_mentioned() -> None:
    made = job(gpus=0)
    trainer = made["spec"]["trainer"]
    assert trainer["numProcPerNode"] == 1
    assert {"name": "OMP_NUM_THREADS", "value": trainer["resourcesPerNode"]["limits"]["cpu"]} in trainer["env"]
    assert "nvidia" not in str(made)
    assert not pod_template(made)["spec"].keys() & {"nodeSelector", "tolerations"}


def test_pods_go_to_the_pool() -> None:
    spec = pod_template(job(pool="aks"))["spec"]
    placement = place_training("aks", gpus=1, nodes=1, spot=False, work="/sss/work")
    assert (spec["nodeSelector"], spec["tolerations"]) == (placement.node_selector, placement.tolerations)


def test_pods_share_the_volume_and_may_write_nowhere_else() -> None:
    spec = pod_template(job())["spec"]
    (container,) = spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"work": "/sss/work", "shm": "/dev/shm", "tmp": "/tmp"}
    sources = {volume.pop("name"): volume for volume in copy.deepcopy(spec["volumes"])}
    assert sources["work"] == {"persistentVolumeClaim": {"claimName": "sss-work"}}
    assert sources["shm"] == {"emptyDir": {"medium": "Memory"}}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_pods_obey_the_security_standard_restricted() -> None:
    spec = pod_template(job())["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_credentials_come_by_reference_and_may_be_absent() -> None:
    variables = job(environment={"MLFLOW_TRACKING_URI": "http://sss-mlflow:5000"})["spec"]["trainer"]["env"]
    by_name = {variable["name"]: variable for variable in variables}
    assert len(by_name) == len(variables)
    assert by_name["MLFLOW_TRACKING_URI"]["value"] == "http://sss-mlflow:5000"
    assert by_name["SSS_IMAGE_DIGEST"]["value"] == "registry/sss@sha256:0"
    reference = {"name": "sss-s3", "key": "AWS_SECRET_ACCESS_KEY", "optional": True}
    assert by_name["AWS_SECRET_ACCESS_KEY"]["valueFrom"] == {"secretKeyRef": reference}
    assert "configMapKeyRef" in by_name["AWS_ENDPOINT_URL"]["valueFrom"]


def test_a_variable_that_is_given_replaces_the_stored_one() -> None:
    variables = job(environment={"AWS_ENDPOINT_URL": "http://elsewhere"})["spec"]["trainer"]["env"]
    assert [v for v in variables if v["name"] == "AWS_ENDPOINT_URL"] == [
        {"name": "AWS_ENDPOINT_URL", "value": "http://elsewhere"}
    ]


def test_the_same_training_has_the_same_name_and_mark_whoever_launches_it() -> None:
    first, second = (job(owner=Owner(name, name)) for name in ("first", "second"))
    other = job(arguments=["--params", "/sss/work/other.yaml"])
    assert first["metadata"]["name"] == "sss-0123456789abcdef"
    assert first["metadata"]["annotations"] == second["metadata"]["annotations"] != other["metadata"]["annotations"]
    (reference,) = first["metadata"]["ownerReferences"]
    assert reference == {"apiVersion": "v1", "kind": "Pod", "name": "first", "uid": "first"}
