"""Every rule, in the order in which it is reported. A rule's name is its function's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from k8s.check.objects import Fault, Target
from k8s.check.rules.access import accounts_without_token, rights_by_name, subjects_in_namespace
from k8s.check.rules.network import network_policies, service_targets
from k8s.check.rules.references import no_secret_values, pipeline_references, references
from k8s.check.rules.workloads import (
    gpu_selector,
    gpu_toleration,
    images_pinned,
    part_of_label,
    probes,
    resources,
    restricted,
)
from k8s.check.schemas import schema

Rule = Callable[[Target], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    schema,
    part_of_label,
    images_pinned,
    resources,
    probes,
    restricted,
    gpu_toleration,
    gpu_selector,
    no_secret_values,
    references,
    pipeline_references,
    service_targets,
    network_policies,
    rights_by_name,
    subjects_in_namespace,
    accounts_without_token,
)
