"""What a compiled pipeline takes from the cluster is what the overlays and the secrets' template put there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8s.check.objects import Fault, Target


def pipeline_references(target: Target) -> Iterator[Fault]:
    """Secrets with their keys, config maps and volumes by name, also optional ones: a typo there would go unseen."""
    for owner in target.own("PipelineVersion"):
        for kind, name, keys in _taken(owner.spec.get("platformSpec", {})):
            known: dict[str, Any] = target.secrets if kind == "Secret" else target.known(kind)
            if name not in known:
                yield Fault(owner, f"{kind} {name} is nowhere", f"one of {sorted(known)}")
            elif kind == "Secret" and (missing := keys - known[name]):
                yield Fault(owner, f"{kind} {name} has no key {sorted(missing)}", f"of {sorted(known[name])}")


def _taken(platform: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and keys, as Kubeflow Pipelines' platform specification has them."""
    if not platform:
        return
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        for secret in executor.get("secretAsEnv", []):
            yield "Secret", secret["secretName"], {item["secretKey"] for item in secret["keyToEnv"]}
        for config in executor.get("configMapAsEnv", []):
            yield "ConfigMap", config["configMapName"], set()
        for volume in executor.get("pvcMount", []):
            yield "PersistentVolumeClaim", volume["constant"], set()
