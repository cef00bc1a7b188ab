"""MLflow runs: live curves of a training, and what is sent later where the store was away."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sss_model.files import read_json, write_json
from sss_ops.errors import (
    TRACKING_SERVER,
    AccessRefusedError,
    as_sentences,
    sentence_about,
    tracking_address,
    without_secrets,
)
from sss_ops.tracking.store import is_server, open_store, short_calls, tracking_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


_log = logging.getLogger(__name__)

_SEND_SECONDS = 5.0
_RETRY_SECONDS = 60.0
_BATCH = 1000  # metrics that MLflow takes in one call


def create_run(client: MlflowClient, experiment: str, name: str) -> str:
    """A new run in an experiment, which is made when there is none of that name; returns the run's id."""
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    run_id: str = client.create_run(experiment_id, run_name=name).info.run_id
    return run_id


def find_run(client: MlflowClient, record: Path) -> str | None:
    """The run that `record` (see `LiveRun`) names; None without a record, and where the run is not there or deleted."""
    from mlflow.exceptions import MlflowException

    run_id = read_json(record, "run_id")["run_id"] if record.exists() else None
    if run_id is None:
        return None
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return str(run_id) if found.info.lifecycle_stage == "active" else None


def scalars_to_metrics(step: int, scalars: dict[str, float]) -> list[Metric]:
    """MLflow's form of one logged step."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(name, value, now, step) for name, value in scalars.items()]


def log_metrics(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    """Send any number of metrics."""
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def log_missing(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    """Send what the run lacks of any number of metrics."""
    names = {metric.key for metric in metrics}
    there = {(name, point.step) for name in names for point in client.get_metric_history(run_id, name)}
    log_metrics(client, run_id, [metric for metric in metrics if (metric.key, metric.step) not in there])


class LiveRun:
    """One MLflow run that follows a training and never holds it up.

    Scalars gather here and a thread sends them every few seconds. A store that does not answer costs one warning; what
    has gathered is sent when it answers again. Where it does not at the end, a second warning says so. The run's id is
    kept in `record`, so that a resumed training goes on in the same run; it may log again what it logged before, and
    what the store has of that is not sent twice.

    >>> with LiveRun("sss", name="weak_to_strong", record=Path("tracking.json")) as live:  # doctest: +SKIP
    ...     live.log(10, {"loss": 0.7})
    """

    def __init__(self, experiment: str, *, name: str, record: Path) -> None:
        self.experiment = experiment
        self.run_id: str | None = None
        self._name, self._record = name, record
        self._gathered: list[tuple[int, dict[str, float]]] = []
        self._next_send = 0.0
        self._store_may_have_some = True
        self._warned = False
        self._sender = ThreadPoolExecutor(max_workers=1)
        self._sending: Future[None] | None = None
        self._patience = ExitStack()

    def log(self, step: int, scalars: dict[str, float]) -> None:
        """Take one step's scalars; returns at once."""
        self._gathered.append((step, dict(scalars)))
        if time.monotonic() >= self._next_send and (self._sending is None or self._sending.done()):
            self._sending = self._sender.submit(self._send, None)

    def __enter__(self) -> LiveRun:
        """Begin; raises `InputError` where a server answers that it does not let this user in.

        One that does not answer may yet do so during the training.
        """
        with ExitStack() as entered:
            entered.enter_context(short_calls())
            if is_server():
                self._begin()
            self._patience = entered.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        status = "FINISHED" if error is None else "KILLED" if isinstance(error, SystemExit) else "FAILED"
        self._sender.submit(self._send, status)
        self._sender.shutdown(wait=True)
        self._patience.close()

    def as_record(self) -> dict[str, Any]:
        """What `find_run` reads; the id is None where the store never answered."""
        return {"experiment": self.experiment, "run_id": self.run_id}

    def _begin(self) -> None:
        try:
            with as_sentences(TRACKING_SERVER, tracking_address()):
                self._open(tracking_client())
        except AccessRefusedError:
            raise
        except Exception as error:
            self._wait_after(error)

    def _send(self, status: str | None) -> None:
        """Send what has gathered, and the run's end where `status` is given; runs in the thread."""
        count = len(self._gathered)
        try:
            # After a failure, a database gets a quick look before MLflow tries for minutes.
            client = tracking_client() if self._store_may_have_some else open_store()
            run_id = self._open(client)
            metrics = [metric for row in self._gathered[:count] for metric in scalars_to_metrics(*row)]
            (log_missing if self._store_may_have_some else log_metrics)(client, run_id, metrics)
            if status:
                client.set_terminated(run_id, status)
        except Exception as error:  # whatever a store can raise, the training goes on
            self._wait_after(error, status)
        else:
            self._next_send = time.monotonic() + _SEND_SECONDS
            self._store_may_have_some = False
            del self._gathered[:count]

    def _open(self, client: MlflowClient) -> str:
        if self.run_id is None:
            # Where Kubeflow Pipelines follows a task in MLflow itself, it has made a run for it.
            given = os.environ.get("MLFLOW_RUN_ID")
            self.run_id = find_run(client, self._record) or given or create_run(client, self.experiment, self._name)
            client.update_run(self.run_id, status="RUNNING")
            write_json(self._record, self.as_record())
        return self.run_id

    def _wait_after(self, error: Exception, status: str | None = None) -> None:
        """Try again later; tell the first failure, and that of the end."""
        self._next_send = time.monotonic() + _RETRY_SECONDS
        self._store_may_have_some = True
        found = (sentence_about(error) or str(error)).partition("; expected")[0]
        reason = without_secrets(found.splitlines()[0])
        if status == "FINISHED":
            _log.warning(
                "MLflow lacks the end of this training; the checkpoint has all, `sss register` sends it (%s)", reason
            )
        elif not self._warned:
            _log.warning("MLflow does not take the training's curves; the training goes on (%s)", reason)
        self._warned = True
