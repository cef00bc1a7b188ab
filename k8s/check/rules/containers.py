"""What every container states: its image, its resources, how to tell that it lives."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s.check.objects import LONG_RUNNING, Fault, Object, Target, containers, pods

OURS = "sss"  # as manifests call it, before kustomize gives it its name in a registry
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def images_pinned(target: Target) -> Iterator[Fault]:
    """Our image by digest, others by a version: what runs tomorrow is what was checked today."""
    for owner, image in _images(target):
        repository, _, digest = image.partition("@")
        # A colon before the last slash is a registry's port.
        folder, slash, last = repository.rpartition("/")
        name, _, tag = last.partition(":")
        if digest:
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                yield Fault(owner, f"image {image}", "a sha256 digest of 64 digits")
        elif f"{folder}{slash}{name}" in (OURS, target.image):
            yield Fault(owner, f"image {image}", "our image by its digest, from k8s/image")
        elif not re.match(r"v?\d+\.\d+", tag):
            yield Fault(owner, f"image {image}", "a version such as name:1.2")


def resources(target: Target) -> Iterator[Fault]:
    """CPU and memory requested and limited, no request above its limit: without them a node is overcommitted."""
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
    """What runs for long is watched from its start to its end."""
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
    """An image that is a parameter of the run: the parameter's default."""
    parameter = re.fullmatch(r"\{\{\$\.inputs\.parameters\['pipelinechannel--(.+)'\]\}\}", image)
    if not parameter:
        return image
    inputs = owner.spec["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    return str(inputs[parameter[1]].get("defaultValue", image))
