"""Secrets are named, never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from k8s.check.objects import Fault, Object, Target, containers

TELLING_NAME = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|(ACCESS|PRIVATE|API)_?KEY", re.IGNORECASE)
TELLING_VALUE = re.compile(r"://[^/\s:@]+:[^/\s:@]+@|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def no_secret_values(target: Target) -> Iterator[Fault]:
    """No Secret object, no literal under a name that tells of a secret, nothing that looks like a key."""
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
