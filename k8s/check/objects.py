"""Kubernetes objects as read from manifests, and the pods and containers in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TEMPLATE_PATHS = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
LONG_RUNNING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@dataclass(frozen=True)
class Object:
    """A Kubernetes object.

    >>> print(Object({"kind": "Service", "metadata": {"name": "sss-mlflow"}}))
    Service/sss-mlflow
    """

    document: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        return str(self.document.get("metadata", {}).get("name", ""))

    @property
    def namespace(self) -> str | None:
        return self.document["metadata"].get("namespace")

    @property
    def spec(self) -> dict[str, Any]:
        return self.document.get("spec") or {}

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Pod:
    """The template of a pod, and the object that holds it."""

    owner: Object
    labels: dict[str, str]
    spec: dict[str, Any]

    def containers(self) -> Iterator[dict[str, Any]]:
        yield from self.spec.get("initContainers", [])
        yield from self.spec.get("containers", [])


@dataclass(frozen=True)
class Target:
    """The objects that are checked together: of a rendered folder or a file."""

    name: str
    objects: list[Object]
    around: list[Object] = field(default_factory=list)
    """Objects that exist when these are applied."""
    secrets: dict[str, set[str]] = field(default_factory=dict)
    """Secrets that a person makes, and their keys."""
    image: str = ""
    """The project's image, by its name in a registry."""

    def own(self, *kinds: str) -> list[Object]:
        return [found for found in self.objects if found.kind in kinds]

    def known(self, kind: str) -> dict[str, Object]:
        return {found.name: found for found in [*self.around, *self.objects] if found.kind == kind}


@dataclass(frozen=True)
class Fault:
    """A rule that an object breaks, in the form "found; expected"."""

    owner: Object
    found: str
    expected: str


def pods(target: Target) -> Iterator[Pod]:
    """The pods that a target's objects create."""
    for owner in target.objects:
        if owner.kind == "TrainJob":
            yield _training_pod(owner)
        elif owner.kind in TEMPLATE_PATHS:
            template = owner.document
            for key in TEMPLATE_PATHS[owner.kind]:
                template = template[key]
            yield Pod(owner, template.get("metadata", {}).get("labels", {}), template["spec"])


def containers(target: Target) -> Iterator[tuple[Object, dict[str, Any]]]:
    """The containers of a target's pods, each with the object that creates it."""
    for pod in pods(target):
        for container in pod.containers():
            yield pod.owner, container


def _training_pod(owner: Object) -> Pod:
    """The pod of a TrainJob: its patch of the runtime's pod, with image, variables and resources of its trainer."""
    runtime = owner.spec["runtimePatches"][0]["trainingRuntimeSpec"]
    template = runtime["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    trainer = owner.spec["trainer"]
    container = {
        **template["spec"]["containers"][0],
        "image": trainer["image"],
        "env": trainer.get("env", []),
        "resources": trainer["resourcesPerNode"],
    }
    return Pod(owner, template.get("metadata", {}).get("labels", {}), {**template["spec"], "containers": [container]})
