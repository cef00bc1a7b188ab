"""A TrainJob of one's own: created, or taken over from an earlier attempt at the same training."""

from __future__ import annotations

import time
from typing import Any

from components.trainjob.client import TrainJobClient
from components.trainjob.job import SPEC_SHA256
from components.trainjob.watch import TrainingJobError, condition
from sss_model.errors import InputError

_GONE_SECONDS = 600.0  # an old job's pods get two minutes to end, and their node may be slow


def claim(client: TrainJobClient, job: dict[str, Any], poll_seconds: float) -> None:
    """Create the job, or take over the one that an earlier attempt left.

    Raises:
        InputError: the job belongs to a launcher that still runs; nothing is touched then.
    """
    name = job["metadata"]["name"]
    found = client.get(name)
    if found and _may_take_over(client, found, job):
        print(f"TrainJob {name} is there from an earlier attempt and is taken over", flush=True)
        return
    if found:
        print(f"TrainJob {name} is there from an earlier attempt and is replaced", flush=True)
        _delete_and_wait(client, name, poll_seconds)
    client.create(job)
    print(f"TrainJob {name} created in namespace {client.namespace}", flush=True)


def _may_take_over(client: TrainJobClient, found: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether a job is the same, has not failed and will last: one whose owner is gone is deleted any moment."""
    owner = _owner_of(found)
    if owner and owner != _owner_of(job):
        pod = client.pod(owner["name"])
        if pod is None or pod.metadata.uid != owner["uid"]:
            return False
        if pod.status.phase in ("Pending", "Running") and not pod.metadata.deletion_timestamp:
            raise InputError(
                f"TrainJob {found['metadata']['name']}: pod {pod.metadata.name} is at this same training; "
                "expected to be alone, wait for that run or stop it"
            )
    return _spec_of(found) == _spec_of(job) and not _is_over(found)


def _owner_of(job: dict[str, Any]) -> dict[str, Any] | None:
    return next(iter(job["metadata"].get("ownerReferences", [])), None)


def _spec_of(job: dict[str, Any]) -> str | None:
    return job["metadata"].get("annotations", {}).get(SPEC_SHA256)


def _is_over(job: dict[str, Any]) -> bool:
    """Whether a job has failed or is being deleted; a complete one has its result to hand on."""
    return condition(job, "Failed") is not None or "deletionTimestamp" in job["metadata"]


def _delete_and_wait(client: TrainJobClient, name: str, poll_seconds: float) -> None:
    client.delete(name)
    deadline = time.monotonic() + _GONE_SECONDS
    while client.get(name):
        if time.monotonic() > deadline:
            raise TrainingJobError(
                f"TrainJob {name} of an earlier attempt does not end; delete it and its pods by hand"
            )
        time.sleep(poll_seconds)
