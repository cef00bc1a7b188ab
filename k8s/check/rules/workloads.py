"""Rules for workloads: labels, pinned images, resources, probes, GPUs, and the pod security standard `restricted`.

Source: Kubernetes, Pod Security Standards. A read-only root file system is asked for beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from k8s.check.objects import LONG_RUNNING, Fault, Object, Pod, Target, containers, pods

FOREIGN = ("ClusterConfig", "Pipeline", "PipelineVersion", "ExternalSecret")
"""Kinds whose objects other tools create or read."""
OUR_IMAGE = "sss"  # its name in the manifests, before kustomize gives it its name in a registry
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
GPU = "nvidia.com/gpu"
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC")


def part_of_label(target: Target) -> Iterator[Fault]:
    """Every object of this project has its label: `kubectl get all -l app.kubernetes.io/part-of=sss` lists them."""
    for owner in target.objects:
        labels = owner.document["metadata"].get("labels", {})
        if owner.kind not in FOREIGN and labels.get("app.kubernetes.io/part-of") != "sss":
            yield Fault(owner, f"labels {labels}", "app.kubernetes.io/part-of: sss")


def images_pinned(target: Target) -> Iterator[Fault]:
    """Our image is pinned by digest, others by a version."""
    for owner, image in _images(target):
        repository, _, digest = image.partition("@")
        # A colon before the last slash is a registry's port.
        folder, slash, last = repository.rpartition("/")
        name, _, tag = last.partition(":")
        if digest:
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                yield Fault(owner, f"image {image}", "a sha256 digest of 64 digits")
        elif f"{folder}{slash}{name}" in (OUR_IMAGE, target.image):
            yield Fault(owner, f"image {image}", "our image by its digest, from k8s/image")
        elif not re.match(r"v?\d+\.\d+", tag):
            yield Fault(owner, f"image {image}", "a version such as name:1.2")


def resources(target: Target) -> Iterator[Fault]:
    """CPU and memory have requests and limits, no request above its limit; without them a node is overcommitted."""
    from kubernetes.utils.quantity import parse_quantity

    for owner, container in containers(target):
        requests, limits = (container.get("resources", {}).get(part, {}) for part in ("requests", "limits"))
        for name in sorted({"cpu", "memory", *requests, *limits}):
            where = f"{container['name']}: {name}"
            if name not in requests or name not in limits:
                yield Fault(owner, f"{where} without {'limit' if name in requests else 'request'}", "both")
            elif parse_quantity(requests[name]) > parse_quantity(limits[name]):
                yield Fault(owner, f"{where} request {requests[name]} above limit {limits[name]}", "at most the limit")


def probes(target: Target) -> Iterator[Fault]:
    """Containers of long-running workloads have startup, readiness and liveness probes."""
    for pod in pods(target):
        if pod.owner.kind in LONG_RUNNING:
            for container in pod.spec["containers"]:
                for missing in [probe for probe in PROBES if probe not in container]:
                    yield Fault(pod.owner, f"{container['name']} has no {missing}", "all of " + ", ".join(PROBES))


def _images(target: Target) -> Iterator[tuple[Object, str]]:
    for owner, container in containers(target):
        yield owner, container.get("image", "")
    for owner in target.own("PipelineVersion"):
        for executor in owner.spec["pipelineSpec"]["deploymentSpec"]["executors"].values():
            if "container" in executor:
                yield owner, _default(owner, executor["container"]["image"])


def _default(owner: Object, image: str) -> str:
    """The image itself, or the default of the run's parameter that holds it."""
    parameter = re.fullmatch(r"\{\{\$\.inputs\.parameters\['pipelinechannel--(.+)'\]\}\}", image)
    if not parameter:
        return image
    inputs = owner.spec["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    return str(inputs[parameter[1]].get("defaultValue", image))


def gpu_toleration(target: Target) -> Iterator[Fault]:
    """A pod with a GPU tolerates the taint of GPU nodes, their resource's name; otherwise it waits for ever."""
    for pod in _with_gpu(target):
        if not any(
            toleration.get("key") == GPU and toleration.get("effect") in (None, "NoSchedule")
            for toleration in pod.spec.get("tolerations", [])
        ):
            yield Fault(pod.owner, f"limit {GPU} without a toleration of its taint", f"{GPU} Exists NoSchedule")


def gpu_selector(target: Target) -> Iterator[Fault]:
    """A pod with a GPU selects its nodes; otherwise any GPU will do."""
    for pod in _with_gpu(target):
        if not pod.spec.get("nodeSelector"):
            yield Fault(pod.owner, f"limit {GPU} without a node selector", "labels of a GPU pool")


def _with_gpu(target: Target) -> Iterator[Pod]:
    for pod in pods(target):
        if any(GPU in container.get("resources", {}).get("limits", {}) for container in pod.containers()):
            yield pod


def restricted(target: Target) -> Iterator[Fault]:
    """Pods meet the pod security standard `restricted`, with a read-only root file system."""
    for pod in pods(target):
        yield from (Fault(pod.owner, found, expected) for found, expected in _pod_faults(pod))
        for container in pod.containers():
            for found, expected in _container_faults(container, pod.spec.get("securityContext", {})):
                yield Fault(pod.owner, f"{container['name']}: {found}", expected)


def _pod_faults(pod: Pod) -> Iterator[tuple[str, str]]:
    for flag in HOST:
        if pod.spec.get(flag):
            yield f"{flag} is on", "off"
    for volume in pod.spec.get("volumes", []):
        if foreign := volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} of type {sorted(foreign)}", f"one of {sorted(VOLUMES)}"


def _container_faults(container: dict[str, Any], of_pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = container.get("securityContext", {})
    context = {**of_pod, **own}
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") in (0, None):
        yield "may run as root", "runAsNonRoot: true and a runAsUser above 0"
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile", "seccompProfile RuntimeDefault"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may gain privileges", "allowPrivilegeEscalation: false"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"capabilities {capabilities}", "drop: [ALL]"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "root file system can be written", "readOnlyRootFilesystem: true"
