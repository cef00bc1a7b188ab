"""Watch a TrainJob: its end, its failures and why pods wait; and relay the log of its first node."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.cluster.trainjob import CONTAINER
from sss_ops.cluster.trainjob_client import ClusterAwayError, TrainJobClient

if TYPE_CHECKING:
    from kubernetes.client import V1ContainerState, V1ContainerStatus, V1Pod

_SAY_AFTER_SECONDS = 30.0
_SAY_EVERY_SECONDS = 300.0
_LAST_LINES = 20
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class ContainerFailure:
    """A container that ended with an error."""

    pod: str
    exit_code: int
    reason: str
    at: datetime
    restarted: bool
    """Whether another container has taken its place."""

    def __str__(self) -> str:
        return f"pod {self.pod} ended with exit code {self.exit_code} ({self.reason})"


def container_failure(pod: V1Pod) -> ContainerFailure | None:
    """The last failure of a pod's container; None where there is none."""
    status = _container(pod)
    if status is None:
        return None
    now, before = _ended(status.state), _ended(status.last_state)
    ended = now or before
    if ended is None or ended.exit_code == 0:
        return None
    return ContainerFailure(
        pod=pod.metadata.name,
        exit_code=ended.exit_code,
        reason=pod.status.reason or ended.reason or "Error",
        at=ended.finished_at or pod.metadata.creation_timestamp,
        restarted=now is None,
    )


def start_obstacle(pods: list[V1Pod]) -> str | None:
    """Why a pod has not started, in the words of the scheduler or the node; None where all have."""
    if not pods:
        return "no pod has been made; expected Kubeflow Trainer's controller to, see `kubectl describe trainjob`"
    return next((reason for reason in map(_obstacle, pods) if reason), None)


def first_node(pods: list[V1Pod]) -> V1Pod | None:
    """The pod of the first node, once its container has started; of two, after a loss, the newer."""
    started = [pod for pod in pods if (pod.metadata.labels or {}).get(_INDEX) == "0" and _has_started(pod)]
    return max(started, key=lambda pod: pod.metadata.creation_timestamp, default=None)


def _obstacle(pod: V1Pod) -> str | None:
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


class TrainingJobError(Exception):
    """A training on several nodes failed; the message says where and why, with the last lines of the log."""


class JobWatch:
    """A TrainJob that is polled: nothing is lost when a connection breaks or this process starts late."""

    def __init__(self, client: TrainJobClient, job: str, schedule_minutes: float) -> None:
        self._client, self._job = client, job
        self._waiting = _Waiting(job, schedule_minutes)
        self._failures: dict[str, tuple[ContainerFailure, list[str]]] = {}
        self._failed: dict[str, Any] | None = None

    def has_ended(self) -> bool:
        """Read the job once, and print new failures; whether it has ended.

        Raises:
            TrainingJobError: the job is gone, or its pods have waited too long.
            ClusterAwayError: the cluster did not answer.
        """
        job = self._client.get(self._job)
        if job is None:
            raise TrainingJobError(f"TrainJob {self._job} was deleted while it ran; run again to go on where it was")
        pods = self._client.pods_of(self._job)
        for failure in filter(None, map(container_failure, pods)):
            self._note(failure)
        self._failed = job_condition(job, "Failed")
        if self._failed or job_condition(job, "Complete"):
            return True
        self._waiting.check(start_obstacle(pods))
        return False

    def raise_if_failed(self) -> None:
        """Raise `TrainingJobError` where the job failed, with the container failure that came first."""
        if self._failed is None:
            return
        reason = f"TrainJob {self._job} failed ({self._failed.get('reason')}): {self._failed.get('message')}"
        if not self._failures:
            raise TrainingJobError(reason)
        # When one node dies, the others fail because of it.
        failure, lines = min(self._failures.values(), key=lambda noted: noted[0].at)
        raise TrainingJobError("\n  ".join([f"{reason}; {failure}; its last lines:", *lines]))

    def _note(self, failure: ContainerFailure) -> None:
        """Keep a failure with the end of the log: when a job fails, Kubernetes deletes pods that still run."""
        noted = self._failures.get(failure.pod)
        if noted and noted[0].at == failure.at:
            return
        try:
            lines = self._client.last_lines(failure.pod, count=_LAST_LINES, previous=failure.restarted)
        except ClusterAwayError:
            lines = ["(its log is gone)"]
        self._failures[failure.pod] = failure, lines
        print(failure, flush=True)


def job_condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A condition of a TrainJob's status (``Complete``, ``Failed``), where it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind and found["status"] == "True"), None)


class _Waiting:
    """Pods that do not start: a line after a short time, an error after a long one."""

    def __init__(self, job: str, minutes: float) -> None:
        self._job, self._minutes = job, minutes
        self._since: float | None = None
        self._say_at = 0.0

    def check(self, obstacle: str | None) -> None:
        now = time.monotonic()
        if obstacle is None:
            self._since = None
            return
        if self._since is None:
            self._since, self._say_at = now, now + _SAY_AFTER_SECONDS
        if now - self._since >= self._minutes * 60:
            raise TrainingJobError(f"TrainJob {self._job} has waited for {self._minutes:g} min: {obstacle}")
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY_SECONDS
            print(f"TrainJob {self._job} waits: {obstacle}", flush=True)


class LogRelay:
    """Prints the first node's log from a thread, each line once, also when the stream breaks or the pod is replaced.

    A stream that is opened again starts at the beginning of the log; lines already printed are known by their time.
    """

    def __init__(self, client: TrainJobClient, job: str, *, pause_seconds: float) -> None:
        self.error: InputError | None = None
        """Set when the cluster refuses the log; no more lines come then."""
        self._client, self._job, self._pause = client, job, pause_seconds
        self._pod, self._last = "", ""
        self._finishing = threading.Event()
        # A daemon: waiting for a line must not keep the process from ending.
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop following; returns at once."""
        self._finishing.set()

    def finish(self) -> None:
        """Print the rest of the log, once the job has ended."""
        self.stop()
        self._thread.join(timeout=60)

    def _relay(self) -> None:
        try:
            while not self._finishing.is_set():
                self._print_lines(follow=True)
                self._finishing.wait(self._pause)
            self._print_lines(follow=False)
        except InputError as error:
            self.error = error

    def _print_lines(self, *, follow: bool) -> None:
        try:
            pod = first_node(self._client.pods_of(self._job))
            if pod is None:
                return
            if pod.metadata.uid != self._pod:
                self._pod, self._last = pod.metadata.uid, ""
            for stamp, text in self._client.log(pod.metadata.name, follow=follow):
                if stamp > self._last:
                    self._last = stamp
                    print(text, flush=True)
        except ClusterAwayError:
            pass  # tried again by the caller; the launcher reports a cluster that stays away
