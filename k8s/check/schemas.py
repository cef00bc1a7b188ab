"""Validate objects against Kubernetes' own strict schemas, or ours where Kubernetes has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from k8s.check.objects import Fault, Object, Target

# The oldest that clouds still offer and the newest: a field that is gone or not yet there fails in one of them.
VERSIONS = ("1.34", "1.37")
# Kinds newer than the oldest version; objects of these kinds are applied on their own, and say what they need.
SINCE = {"MutatingAdmissionPolicy": "1.36", "MutatingAdmissionPolicyBinding": "1.36"}
SHAPES = Path(__file__).with_name("shapes")


def schema(target: Target) -> Iterator[Fault]:
    """Fields have the types and values of the schema; unknown fields are refused."""
    for owner in target.objects:
        yield from _validate_shape(owner) if has_shape(owner) else _validate_builtin(owner)


def has_shape(owner: Object) -> bool:
    """Whether a kind is missing from Kubernetes' schemas and has a shape of ours."""
    return owner.kind == "TrainJob" or _shape_file(owner.kind).exists()


def versions(owner: Object) -> list[str]:
    """The Kubernetes versions whose schemas an object is validated against."""
    return [] if has_shape(owner) else [version for version in VERSIONS if version >= SINCE.get(owner.kind, version)]


def _validate_builtin(owner: Object) -> Iterator[Fault]:
    for version in versions(owner):
        if found := _builtin_error(json.dumps(owner.document), version):
            yield Fault(owner, found, f"what Kubernetes {version} allows")


@cache
def _builtin_error(text: str, version: str) -> str | None:
    """The first error of a document, given as JSON; cached, since overlays share most documents."""
    import kubernetes_validate

    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return _sentence(error)
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"unknown kind {error.kind} of {error.api_version}"
    return None


def _validate_shape(owner: Object) -> Iterator[Fault]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    for error in Draft202012Validator(_shape(owner.kind)).iter_errors(owner.document):
        yield Fault(owner, _sentence(best_match([error])), f"what the listed kind {owner.kind} allows")


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "the object"
    return f"{where}: {error.message[:200]}"


@cache
def _shape(kind: str) -> dict[str, Any]:
    if kind == "TrainJob":
        return _train_job()
    return yaml.safe_load(_shape_file(kind).read_text())


def _shape_file(kind: str) -> Path:
    return SHAPES / f"{kind}.yaml"


def _train_job() -> dict[str, Any]:
    """Kubeflow Trainer's own schema; its generator declares objects where quantities are strings or numbers."""
    from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

    found = _closed(TrainerV1alpha1TrainJob.model_json_schema(by_alias=True))
    plain = {"IoK8sApimachineryPkgApiResourceQuantity", "IoK8sApimachineryPkgUtilIntstrIntOrString"}
    found["$defs"].update({name: {"type": ["string", "number"]} for name in plain})
    return found


def _closed(node: Any) -> Any:
    """A JSON schema that refuses the properties it does not name."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return {"additionalProperties": False, **closed} if "properties" in node else closed
