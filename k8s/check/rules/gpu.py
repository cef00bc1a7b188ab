"""A pod that asks for a GPU says where GPUs are; otherwise it waits for ever or keeps a GPU node from others."""

from __future__ import annotations

from collections.abc import Iterator

from k8s.check.objects import Fault, Pod, Target, pods

GPU = "nvidia.com/gpu"


def gpu_toleration(target: Target) -> Iterator[Fault]:
    """GPU nodes are tainted by their resource's name."""
    for pod in _with_gpu(target):
        if not any(
            toleration.get("key") == GPU and toleration.get("effect") in (None, "NoSchedule")
            for toleration in pod.spec.get("tolerations", [])
        ):
            yield Fault(pod.owner, f"limit {GPU} without a toleration of its taint", f"{GPU} Exists NoSchedule")


def gpu_selector(target: Target) -> Iterator[Fault]:
    """Which GPU it is to be is chosen, not left to chance."""
    for pod in _with_gpu(target):
        if not pod.spec.get("nodeSelector"):
            yield Fault(pod.owner, f"limit {GPU} without a node selector", "labels of a GPU pool")


def _with_gpu(target: Target) -> Iterator[Pod]:
    for pod in pods(target):
        if any(GPU in container.get("resources", {}).get("limits", {}) for container in pod.containers()):
            yield pod
