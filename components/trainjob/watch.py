"""Watching a TrainJob: whether it has ended, what failed in it, and whether its pods wait too long."""

from __future__ import annotations

import time
from typing import Any

from components.trainjob.client import ClusterAwayError, TrainJobClient
from components.trainjob.pods import Failure, failure_of, hindrance

_SAY_AFTER_SECONDS = 30.0
_SAY_EVERY_SECONDS = 300.0
_LAST_LINES = 20


class TrainingJobError(Exception):
    """A training on several nodes did not come to its end; the message says where, why, and its last lines."""


class Watch:
    """One TrainJob, looked at again and again.

    It is asked for rather than subscribed to: nothing is lost when a connection breaks or this process comes late.
    """

    def __init__(self, client: TrainJobClient, job: str, schedule_minutes: float) -> None:
        self._client, self._job = client, job
        self._waiting = _Waiting(job, schedule_minutes)
        self._failures: dict[str, tuple[Failure, list[str]]] = {}
        self._failed: dict[str, Any] | None = None

    def has_ended(self) -> bool:
        """Look once, and say what has changed.

        Raises:
            TrainingJobError: the job is gone, or its pods have waited too long.
            ClusterAwayError: the cluster did not answer.
        """
        job = self._client.get(self._job)
        if job is None:
            raise TrainingJobError(f"TrainJob {self._job} was deleted while it ran; run again to go on where it was")
        pods = self._client.pods_of(self._job)
        for failure in filter(None, map(failure_of, pods)):
            self._note(failure)
        self._failed = condition(job, "Failed")
        if self._failed or condition(job, "Complete"):
            return True
        self._waiting.check(hindrance(pods))
        return False

    def raise_if_failed(self) -> None:
        """Raise `TrainingJobError` where the job has ended badly, with the failure that came first."""
        if self._failed is None:
            return
        reason = f"TrainJob {self._job} failed ({self._failed.get('reason')}): {self._failed.get('message')}"
        if not self._failures:
            raise TrainingJobError(reason)
        # When one node dies, the others lose it and die too.
        failure, lines = min(self._failures.values(), key=lambda noted: noted[0].at)
        raise TrainingJobError("\n  ".join([f"{reason}; {failure}; its last lines:", *lines]))

    def _note(self, failure: Failure) -> None:
        """Keep a pod's last failure and its last lines: when a job fails, Kubernetes deletes pods that still run."""
        noted = self._failures.get(failure.pod)
        if noted and noted[0].at == failure.at:
            return
        try:
            lines = self._client.last_lines(failure.pod, count=_LAST_LINES, previous=failure.restarted)
        except ClusterAwayError:
            lines = ["(its log is gone)"]
        self._failures[failure.pod] = failure, lines
        print(failure, flush=True)


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A condition of a TrainJob's status (``Complete``, ``Failed``), where it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind and found["status"] == "True"), None)


class _Waiting:
    """Pods that do not start: said after a short time, an error after a long one."""

    def __init__(self, job: str, minutes: float) -> None:
        self._job, self._minutes = job, minutes
        self._since: float | None = None
        self._say_at = 0.0

    def check(self, hindrance: str | None) -> None:
        now = time.monotonic()
        if hindrance is None:
            self._since = None
            return
        if self._since is None:
            self._since, self._say_at = now, now + _SAY_AFTER_SECONDS
        if now - self._since >= self._minutes * 60:
            raise TrainingJobError(f"TrainJob {self._job} has waited for {self._minutes:g} min: {hindrance}")
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY_SECONDS
            print(f"TrainJob {self._job} waits: {hindrance}", flush=True)
