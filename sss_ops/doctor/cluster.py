"""The Kubernetes cluster: rights, the Trainer's API, nodes with GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sss_ops.doctor.checks import CheckResult, not_configured
from sss_ops.errors import connection_problem

_GROUP = "trainer.kubeflow.org"
_GPU = "nvidia.com/gpu"
_SECONDS = 4


@dataclass(frozen=True)
class PodRequest:
    """What a training would ask for; see `sss_ops.cluster.placement.place_training`."""

    pool: str | None
    gpus: int
    nodes: int
    spot: bool


def check_kubernetes(namespace: str, request: PodRequest) -> list[CheckResult]:
    """What the current context, or the pod's own account, finds in the cluster."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    settings = client.Configuration()
    settings.retries = False
    try:
        _load(config, settings)
    except config.ConfigException:
        return [not_configured("Kubernetes", "no current context, and not in a cluster")]
    api = client.ApiClient(settings)
    try:
        server = client.VersionApi(api).get_code(_request_timeout=_SECONDS).git_version
        line = CheckResult("Kubernetes", "green", f"{settings.host}: {server}")
        return [line, _rights(client, api, namespace), _trainer(client, api, request), _nodes(client, api, request)]
    except HTTPError as error:
        fix = "correct the current context (kubectl config get-contexts), or start the cluster"
        return [CheckResult("Kubernetes", "red", f"{settings.host}: {connection_problem(error)}", fix)]
    except client.ApiException as error:
        fix = "log in to the cluster again, `kubectl get --raw /version` must work"
        return [CheckResult("Kubernetes", "red", f"{settings.host}: {error.status} {error.reason}", fix)]


def _load(config: Any, settings: Any) -> None:
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        config.load_kube_config(client_configuration=settings)


def _rights(client: Any, api: Any, namespace: str) -> CheckResult:
    """Ask the cluster what we may do."""
    attributes = {"group": _GROUP, "resource": "trainjobs", "verb": "create", "namespace": namespace}
    review = client.V1SelfSubjectAccessReview(spec={"resourceAttributes": attributes})
    answer = client.AuthorizationV1Api(api).create_self_subject_access_review(review, _request_timeout=_SECONDS)
    if answer.status.allowed:
        return CheckResult("TrainJob rights", "green", f"may create TrainJobs in {namespace}")
    fix = "bind the role sss-pipeline to this account, as k8s/ does (needed for nodes > 1)"
    return CheckResult("TrainJob rights", "yellow", f"may not create TrainJobs in {namespace}", fix)


def _trainer(client: Any, api: Any, request: PodRequest) -> CheckResult:
    """The API's groups are open to every account; the definition of the kind itself is not."""
    groups = client.ApisApi(api).get_api_versions(_request_timeout=_SECONDS).groups
    versions = [version.version for group in groups if group.name == _GROUP for version in group.versions]
    if versions:
        return CheckResult("Kubeflow Trainer", "green", f"{_GROUP}: {', '.join(versions)}")
    found, fix = f"no {_GROUP} in the cluster", "install Kubeflow Trainer 2, or keep to 1 node"
    return CheckResult("Kubeflow Trainer", "red" if request.nodes > 1 else "yellow", found, fix)


def _nodes(client: Any, api: Any, request: PodRequest) -> CheckResult:
    """Whether the nodes that are there now could take the training's pods."""
    try:
        nodes = client.CoreV1Api(api).list_node(_request_timeout=_SECONDS).items
    except client.ApiException as error:
        if error.status != 403:
            raise
        return CheckResult("GPU nodes", "grey", "this account may not list nodes")
    if request.pool is None:
        count = sum(_amount(node, _GPU) > 0 for node in nodes)
        return CheckResult("GPU nodes", "green" if count else "grey", f"{count} of {len(nodes)} nodes have {_GPU}")
    return _fit(nodes, request.pool, request)


def _fit(nodes: list[Any], pool: str, request: PodRequest) -> CheckResult:
    from sss_ops.cluster.placement import place_training

    placed = place_training(pool, gpus=request.gpus, nodes=request.nodes, spot=request.spot, work="/sss/work")
    pods = placed.trainer or placed.model_dump()
    fitting = [node for node in nodes if _takes(node, pods, request.gpus)]
    asked = f"pool {pool}, {request.nodes} × {request.gpus} GPUs"
    if len(fitting) >= request.nodes:
        return CheckResult("GPU nodes", "green", f"{asked}: {len(fitting)} of {len(nodes)} nodes fit")
    labels = ", ".join(f"{key}={value}" for key, value in pods["node_selector"].items()) or "no labels"
    fix = f"add nodes with {labels} and {request.gpus} {_GPU}, or choose another pool; an autoscaler may still add them"
    return CheckResult("GPU nodes", "yellow", f"{asked}: {len(fitting)} of {len(nodes)} nodes fit", fix)


def _takes(node: Any, pods: dict[str, Any], gpus: int) -> bool:
    """Labels, taints and the size of the node; what other pods hold of it is not counted."""
    labels = node.metadata.labels or {}
    taints = [taint for taint in node.spec.taints or [] if taint.effect != "PreferNoSchedule"]
    return (
        not node.spec.unschedulable
        and all(labels.get(key) == value for key, value in pods["node_selector"].items())
        and all(any(_tolerates(each, taint) for each in pods["tolerations"]) for taint in taints)
        and (not gpus or _amount(node, pods["accelerator"]) >= gpus)
        and _amount(node, "cpu") >= float(pods["cpu"])
    )


def _tolerates(toleration: dict[str, str], taint: Any) -> bool:
    if toleration["key"] != taint.key or toleration["effect"] != taint.effect:
        return False
    return toleration["operator"] == "Exists" or toleration.get("value", "") == (taint.value or "")


def _amount(node: Any, resource: str) -> float:
    """A node's allocatable amount of GPUs or CPUs, of which ``7910m`` are 7.91."""
    text = (node.status.allocatable or {}).get(resource, "0")
    number = float(re.sub(r"[^0-9.].*", "", text) or 0)
    return number / 1000 if text.endswith("m") else number
