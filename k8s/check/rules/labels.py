"""What is ours can be told from what is not."""

from __future__ import annotations

from collections.abc import Iterator

from k8s.check.objects import Fault, Target

FOREIGN = ("ClusterConfig", "Pipeline", "PipelineVersion", "ExternalSecret")
"""Kinds whose objects other tools make or read."""


def part_of_label(target: Target) -> Iterator[Fault]:
    """`kubectl get all -l app.kubernetes.io/part-of=sss` lists everything of ours."""
    for owner in target.objects:
        labels = owner.document["metadata"].get("labels", {})
        if owner.kind not in FOREIGN and labels.get("app.kubernetes.io/part-of") != "sss":
            yield Fault(owner, f"labels {labels}", "app.kubernetes.io/part-of: sss")
