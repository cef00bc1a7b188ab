"""What the pods of a TrainJob tell: why one does not start, and how one ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from components.trainjob.job import CONTAINER

if TYPE_CHECKING:
    from kubernetes.client import V1ContainerState, V1ContainerStatus, V1Pod

_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class Failure:
    """A container that ended with an error."""

    pod: str
    exit_code: int
    reason: str
    at: datetime
    restarted: bool
    """Whether the pod has another container in its place by now."""

    def __str__(self) -> str:
        return f"pod {self.pod} ended with exit code {self.exit_code} ({self.reason})"


def failure_of(pod: V1Pod) -> Failure | None:
    """How the pod failed last; None where it never did."""
    status = _container(pod)
    if status is None:
        return None
    now, before = _ended(status.state), _ended(status.last_state)
    ended = now or before
    if ended is None or ended.exit_code == 0:
        return None
    return Failure(
        pod=pod.metadata.name,
        exit_code=ended.exit_code,
        reason=pod.status.reason or ended.reason or "Error",
        at=ended.finished_at or pod.metadata.creation_timestamp,
        restarted=now is None,
    )


def hindrance(pods: list[V1Pod]) -> str | None:
    """Why pods have not started, in the scheduler's or the node's own words; None where all have."""
    if not pods:
        return "no pod has been made; expected Kubeflow Trainer's controller to, see `kubectl describe trainjob`"
    return next((reason for reason in map(_hindrance, pods) if reason), None)


def first_node(pods: list[V1Pod]) -> V1Pod | None:
    """The pod of the first node, once its container has started; of two, after a loss, the newer."""
    started = [pod for pod in pods if (pod.metadata.labels or {}).get(_INDEX) == "0" and _has_started(pod)]
    return max(started, key=lambda pod: pod.metadata.creation_timestamp, default=None)


def _hindrance(pod: V1Pod) -> str | None:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"pod {pod.metadata.name} has no node ({condition.reason}): {condition.message}"
    status = _container(pod)
    waiting = status.state.waiting if status and status.state else None
    # What crashed has started before.
    if waiting and waiting.reason != "CrashLoopBackOff":
        return f"pod {pod.metadata.name} does not start ({waiting.reason}): {waiting.message or 'no message'}"
    return None


def _has_started(pod: V1Pod) -> bool:
    status = _container(pod)
    return bool(status and status.state and (status.state.running or status.state.terminated or status.restart_count))


def _container(pod: V1Pod) -> V1ContainerStatus | None:
    return next((status for status in pod.status.container_statuses or [] if status.name == CONTAINER), None)


def _ended(state: V1ContainerState | None) -> V1ContainerState | None:
    return state.terminated if state else None
