"""Rules for access to the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator

from k8s.check.objects import Fault, Target, pods


def rights_by_name(target: Target) -> Iterator[Fault]:
    """Rights are listed by name, within the namespace, and never to secrets."""
    for owner in target.own("ClusterRole", "ClusterRoleBinding"):
        yield Fault(owner, "rights over the whole cluster", "a Role and a RoleBinding")
    for owner in target.own("Role"):
        for rule in owner.document["rules"]:
            named = {name for field in ("apiGroups", "resources", "verbs") for name in rule.get(field, [])}
            for name in sorted(name for name in named if "*" in name or name == "secrets"):
                yield Fault(owner, f"a rule with {name}", "groups, resources and verbs by name, and no secrets")


def subjects_in_namespace(target: Target) -> Iterator[Fault]:
    """A binding names a role that exists and accounts of its own namespace, so that an overlay can move it."""
    for owner in target.own("RoleBinding"):
        role = owner.document["roleRef"]
        if role["name"] not in target.known(role["kind"]):
            yield Fault(owner, f"{role['kind']} {role['name']} is nowhere", "a rendered role")
        for subject in owner.document.get("subjects", []):
            if subject.get("namespace") != owner.namespace:
                yield Fault(owner, f"account {subject['name']} of {subject.get('namespace')}", f"of {owner.namespace}")


def accounts_without_token(target: Target) -> Iterator[Fault]:
    """Our services never call Kubernetes, so their pods get no token."""
    for pod in pods(target):
        if pod.owner.kind != "TrainJob" and pod.spec.get("automountServiceAccountToken") is not False:
            yield Fault(pod.owner, "a service account's token in the pod", "automountServiceAccountToken: false")
