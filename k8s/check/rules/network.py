"""Rules for services and network policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8s.check.objects import Fault, Object, Pod, Target, pods


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a LabelSelector picks an object with these labels; an empty one picks all.

    >>> matches({"matchLabels": {"app": "mlflow"}}, {"app": "mlflow", "tier": "web"})
    True
    """
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(_holds(expression, labels) for expression in selector.get("matchExpressions", []))


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def service_targets(target: Target) -> Iterator[Fault]:
    """A service's selector picks pods that have its ports; a StatefulSet's service exists."""
    for service in target.own("Service"):
        if service.spec.get("type") == "ExternalName":
            continue
        picked = [pod for pod in pods(target) if matches({"matchLabels": service.spec.get("selector", {})}, pod.labels)]
        if not picked:
            yield Fault(service, f"selector {service.spec.get('selector')} picks no pod", "labels of a pod")
        for port in service.spec["ports"]:
            yield from _missing_port(service, port.get("targetPort", port["port"]), picked)
    for owner in target.own("StatefulSet"):
        if owner.spec["serviceName"] not in target.known("Service"):
            yield Fault(owner, f"service {owner.spec['serviceName']} is nowhere", "a rendered service")


def network_policies(target: Target) -> Iterator[Fault]:
    """Each pod has a policy for ingress and one for egress; ports that policies open exist.

    Pods of a TrainJob are left out, as those of Kubeflow's runs are: what they need is not known here.
    """
    for pod in pods(target):
        policies = [policy for policy in target.known("NetworkPolicy").values() if _applies(policy, pod)]
        covered = {way for policy in policies for way in policy.spec["policyTypes"]}
        for way in sorted({"Ingress", "Egress"} - covered) if pod.owner.kind != "TrainJob" else []:
            yield Fault(pod.owner, f"no network policy for its {way.lower()}", "one whose podSelector picks it")
    for policy in target.own("NetworkPolicy"):
        picked = [pod for pod in pods(target) if _applies(policy, pod)]
        for rule in policy.spec.get("ingress", []):
            for port in rule.get("ports", []):
                yield from _missing_port(policy, port["port"], picked)


def _applies(policy: Object, pod: Pod) -> bool:
    return matches(policy.spec["podSelector"], pod.labels)


def _missing_port(owner: Object, port: str | int, picked: list[Pod]) -> Iterator[Fault]:
    opened = set().union(*map(_ports, picked))
    if port not in opened:
        yield Fault(owner, f"port {port} is not of the pods it picks", f"one of {sorted(map(str, opened))}")


def _ports(pod: Pod) -> set[Any]:
    """Names and numbers of the ports that a pod's containers open."""
    ports = [port for container in pod.containers() for port in container.get("ports", [])]
    return {port[field] for port in ports for field in ("name", "containerPort") if field in port}
