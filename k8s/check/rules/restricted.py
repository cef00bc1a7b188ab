"""The pod security standard `restricted`, and a read-only root.

Source: Kubernetes, Pod Security Standards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8s.check.objects import Fault, Pod, Target, pods

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC")


def restricted(target: Target) -> Iterator[Fault]:
    """No pod has rights over its node."""
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
