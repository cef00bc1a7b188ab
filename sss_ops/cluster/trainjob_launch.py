"""Launch a TrainJob: create it, follow it to its end with its log, and delete it whatever happens."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sss_model.errors import InputError
from sss_ops.cluster.placement import TrainingPods
from sss_ops.cluster.trainjob import SPEC_SHA256, Owner, build_training_job
from sss_ops.cluster.trainjob_client import ClusterAwayError, TrainJobClient
from sss_ops.cluster.trainjob_watch import JobWatch, LogRelay, TrainingJobError, job_condition

T = TypeVar("T")

_POLL_SECONDS = 5.0
_GONE_SECONDS = 600.0  # for an old job to go: its pods have two minutes to end, and their node may be slow
_AWAY_SECONDS = 900.0  # for the cluster to answer: the upgrade of a control plane takes minutes
_INHERITED = ("MLFLOW_TRACKING_URI",)


def run_training_job(
    *,
    identity: str,
    image: str,
    nodes: int,
    placement: dict[str, Any],
    arguments: list[str],
    environment: dict[str, str],
) -> None:
    """Train on several nodes and return when the training has ended well.

    Args:
        identity: the training identity, hexadecimal; the same training has the same TrainJob.
        image: reference of the image to run.
        nodes: how many nodes.
        placement: `Placement.trainer`.
        arguments: command line of ``sss train``; its paths lie under ``/sss/work``.
        environment: variables of the training; MLFLOW_TRACKING_URI of this process is passed on, too.

    Raises:
        InputError: no cluster, a missing right, or another launcher runs this same training.
        TrainingJobError: the training failed, or its pods did not start.
        ClusterAwayError: the cluster did not answer for a quarter of an hour.
        SystemExit: 143 after SIGTERM, once the job is deleted.
    """
    pods = TrainingPods.model_validate(placement)
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    job = build_training_job(
        identity=identity,
        image=image,
        nodes=nodes,
        pods=pods,
        arguments=arguments,
        environment=inherited | environment,
        owner=_this_pod(),
    )
    launch_job(job, TrainJobClient.connect(), schedule_minutes=pods.schedule_minutes, poll_seconds=_POLL_SECONDS)


def launch_job(job: dict[str, Any], client: TrainJobClient, *, schedule_minutes: float, poll_seconds: float) -> None:
    """Run a TrainJob to its end and delete it.

    A job that an earlier attempt left running is taken over. Where the launcher is killed before it can delete the
    job, Kubernetes does, once the launching pod is gone: that pod is the job's owner.

    Args:
        schedule_minutes: how long pods may wait for a node before that is an error.
        poll_seconds: between two requests for the job.

    Raises:
        As `run_training_job`.
    """
    name = job["metadata"]["name"]
    with _sigterm_ends():
        _ask_again(lambda: create_or_take_over(client, job, poll_seconds), poll_seconds)
        relay, watch = LogRelay(client, name, pause_seconds=poll_seconds), JobWatch(client, name, schedule_minutes)
        try:
            relay.start()
            while not _ask_again(watch.has_ended, poll_seconds):
                if relay.error:
                    raise relay.error
                time.sleep(poll_seconds)
            relay.finish()
            watch.raise_if_failed()
        finally:
            relay.stop()
            _delete(client, name)


def create_or_take_over(client: TrainJobClient, job: dict[str, Any], poll_seconds: float) -> None:
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
    """Whether a job is the same, has not failed and will stay: one whose owner is gone is deleted any moment."""
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
    """Whether a job has failed or is being deleted; a complete one is taken over for its result."""
    return job_condition(job, "Failed") is not None or "deletionTimestamp" in job["metadata"]


def _delete_and_wait(client: TrainJobClient, name: str, poll_seconds: float) -> None:
    client.delete(name)
    deadline = time.monotonic() + _GONE_SECONDS
    while client.get(name):
        if time.monotonic() > deadline:
            raise TrainingJobError(
                f"TrainJob {name} of an earlier attempt does not end; delete it and its pods by hand"
            )
        time.sleep(poll_seconds)


def _delete(client: TrainJobClient, name: str) -> None:
    """Delete the job; where that fails, say so rather than hide how the training ended."""
    try:
        client.delete(name)
    except (ClusterAwayError, InputError) as error:
        print(f"TrainJob {name} could not be deleted: {error}", flush=True)


def _ask_again(request: Callable[[], T], pause_seconds: float) -> T:
    """The cluster's answer; while it does not answer, ask again, for `_AWAY_SECONDS`."""
    away_since: float | None = None
    while True:
        try:
            return request()
        except ClusterAwayError as error:
            if away_since is None:
                away_since = time.monotonic()
                print(f"{error}; asking again", flush=True)
            elif time.monotonic() - away_since > _AWAY_SECONDS:
                raise
        time.sleep(pause_seconds)


def _this_pod() -> Owner | None:
    """The launching pod, as Kubeflow Pipelines names it to a step; None elsewhere."""
    name, uid = os.environ.get("KFP_POD_NAME"), os.environ.get("KFP_POD_UID")
    return Owner(name, uid) if name and uid else None


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    """Turn the first SIGTERM into `SystemExit` and ignore others, so that the clean-up runs to its end."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(143)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
