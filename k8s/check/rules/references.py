"""Rules for references: objects that pods and the compiled pipeline name exist, and secrets hold no values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k8s.check.objects import Fault, Object, Pod, Target, containers, pods

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
"""Field of a volume or a variable, to the kind that it names."""
TELLING_NAME = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|(ACCESS|PRIVATE|API)_?KEY", re.IGNORECASE)
TELLING_VALUE = re.compile(r"://[^/\s:@]+:[^/\s:@]+@|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True)
class Reference:
    """An object that a pod names, and the key in it, if one is named."""

    kind: str
    name: str
    key: str | None = None


def references(target: Target) -> Iterator[Fault]:
    """Objects that a pod names exist, rendered, made by users or by Kubeflow; otherwise the pod never starts."""
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
    """Name to keys of the objects of a kind that exist when the target's pods start."""
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
    """The sources of a pod's volumes and variables."""
    yield from pod.spec.get("volumes", [])
    for container in pod.containers():
        yield from container.get("envFrom", [])
        for variable in container.get("env", []):
            yield variable.get("valueFrom", {})


def no_secret_values(target: Target) -> Iterator[Fault]:
    """No Secret object, no literal value for a variable named like a secret, nothing that looks like a key."""
    for owner in target.own("Secret"):
        yield Fault(owner, "a Secret object", "a reference; people and vaults make secrets")
    for owner in target.objects:
        yield from _telling_values(owner)
    for owner, name, value in _named_values(target):
        if TELLING_NAME.search(name) and value:
            yield Fault(owner, f"{name} with a literal value", "valueFrom.secretKeyRef")


def _named_values(target: Target) -> Iterator[tuple[Object, str, str]]:
    for owner, container in containers(target):
        for variable in container.get("env", []):
            yield owner, variable["name"], variable.get("value", "")
    for owner in target.own("ConfigMap"):
        for name, value in owner.document.get("data", {}).items():
            yield owner, name, value


def _telling_values(owner: Object) -> Iterator[Fault]:
    for text in _strings(owner.document):
        if found := TELLING_VALUE.search(text):
            yield Fault(owner, f"what looks like a key: {found.group()[:8]}…", "a reference to a secret")


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def pipeline_references(target: Target) -> Iterator[Fault]:
    """Secrets with their keys, config maps and volumes that the pipeline names exist, the optional ones, too."""
    for owner in target.own("PipelineVersion"):
        for kind, name, keys in _taken(owner.spec.get("platformSpec", {})):
            known: dict[str, Any] = target.secrets if kind == "Secret" else target.known(kind)
            if name not in known:
                yield Fault(owner, f"{kind} {name} is nowhere", f"one of {sorted(known)}")
            elif kind == "Secret" and (missing := keys - known[name]):
                yield Fault(owner, f"{kind} {name} has no key {sorted(missing)}", f"of {sorted(known[name])}")


def _taken(platform: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and keys of the objects that Kubeflow Pipelines' platform specification names."""
    if not platform:
        return
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        for secret in executor.get("secretAsEnv", []):
            yield "Secret", secret["secretName"], {item["secretKey"] for item in secret["keyToEnv"]}
        for config in executor.get("configMapAsEnv", []):
            yield "ConfigMap", config["configMapName"], set()
        for volume in executor.get("pvcMount", []):
            yield "PersistentVolumeClaim", volume["constant"], set()
