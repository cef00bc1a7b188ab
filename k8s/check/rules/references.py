"""What a pod names is there: rendered with it, made by a person from the secrets' template, or by Kubeflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k8s.check.objects import Fault, Pod, Target, pods

KUBEFLOW_ACCOUNTS = {"default", "pipeline-runner", "default-editor"}
SYSTEM_PRIORITIES = {"system-cluster-critical", "system-node-critical"}
FIELDS = {
    "secretKeyRef": "Secret",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "configMapRef": "ConfigMap",
    "secret": "Secret",
    "configMap": "ConfigMap",
    "persistentVolumeClaim": "PersistentVolumeClaim",
}


@dataclass(frozen=True)
class Reference:
    kind: str
    name: str
    key: str | None = None


def references(target: Target) -> Iterator[Fault]:
    """A pod with a name that leads nowhere stays in CreateContainerConfigError or Pending."""
    known = {kind: _known(target, kind) for kind in {*FIELDS.values(), "ServiceAccount", "PriorityClass"}}
    for pod in pods(target):
        for reference in _references(pod):
            there, called = known[reference.kind], f"{reference.kind} {reference.name}"
            if reference.name not in there:
                yield Fault(pod.owner, f"{called} is nowhere", f"one of {sorted(there)}")
            elif reference.key and reference.key not in there[reference.name]:
                yield Fault(
                    pod.owner, f"{called} has no key {reference.key}", f"one of {sorted(there[reference.name])}"
                )


def _known(target: Target, kind: str) -> dict[str, set[str]]:
    """Name -> keys of the objects of a kind that are there when the target's pods start."""
    known = {name: set(found.document.get("data", {})) for name, found in target.known(kind).items()}
    made_by_others: dict[str, dict[str, set[str]]] = {
        "Secret": target.secrets,
        "ServiceAccount": {name: set() for name in KUBEFLOW_ACCOUNTS},
        "PriorityClass": {name: set() for name in SYSTEM_PRIORITIES},
    }
    return {**made_by_others.get(kind, {}), **known}


def _references(pod: Pod) -> Iterator[Reference]:
    yield Reference("ServiceAccount", pod.spec.get("serviceAccountName", "default"))
    if "priorityClassName" in pod.spec:
        yield Reference("PriorityClass", pod.spec["priorityClassName"])
    for source in _sources(pod):
        for field in FIELDS.keys() & source.keys():
            named = source[field]
            name = named.get("name") or named.get("secretName") or named["claimName"]
            if not named.get("optional"):
                yield Reference(FIELDS[field], name, named.get("key"))


def _sources(pod: Pod) -> Iterator[dict[str, Any]]:
    """Where a pod's volumes and variables come from."""
    yield from pod.spec.get("volumes", [])
    for container in pod.containers():
        yield from container.get("envFrom", [])
        for variable in container.get("env", []):
            yield variable.get("valueFrom", {})
