"""A TrainJob's launch, its pods and its log, against a cluster of this process."""

import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_cluster import FakeCluster, terminated

from sss_model.errors import InputError
from sss_ops.cluster import trainjob_launch as launch
from sss_ops.cluster import trainjob_watch as watch
from sss_ops.cluster.placement import place_training
from sss_ops.cluster.trainjob_launch import run_training_job
from sss_ops.cluster.trainjob_watch import TrainingJobError


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """An empty cluster that this process, and those it starts, find; they are the pod ``launcher`` in it."""
    cluster = FakeCluster()
    for name in ("KUBERNETES_SERVICE_HOST", "KFP_NAMESPACE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KFP_POD_NAME", "launcher")
    monkeypatch.setenv("KFP_POD_UID", "uid-launcher")
    with cluster.serve(tmp_path / "kubeconfig"):
        yield cluster


NAME = "sss-0123456789abcdef"
TRAINING: dict[str, Any] = {
    "identity": "0123456789abcdef" * 4,
    "image": "registry/sss@sha256:0",
    "nodes": 2,
    "placement": place_training("bare", gpus=0, nodes=2, spot=False, work="/sss/work").trainer,
    "arguments": ["--params", "/sss/work/params.yaml"],
    "environment": {},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_POLL_SECONDS", 0.02)


@pytest.fixture
def left(cluster: FakeCluster) -> Callable[..., None]:
    """Leaves the job of an earlier attempt at the same training, launched by another pod."""

    def leave(*, owner_phase: str | None = "Failed", **changes: Any) -> None:
        cluster.story = [lambda: cluster.end(NAME, "Complete")]
        run_training_job(**TRAINING | changes)
        job = copy.deepcopy(cluster.created.pop())
        job["metadata"]["ownerReferences"][0].update(name="earlier", uid="uid-earlier")
        job.pop("status", None)
        cluster.jobs[NAME] = job
        cluster.deleted.clear()
        if owner_phase:
            cluster.add_pod("earlier", job="")
            cluster.pods["earlier"]["status"]["phase"] = owner_phase
        # The story goes on although this time nothing need be created.
        cluster.created.append({})

    return leave


def starts(cluster: FakeCluster) -> Callable[[], None]:
    def chapter() -> None:
        cluster.add_pod("node-0", NAME, index=0)
        cluster.add_pod("node-1", NAME, index=1)
        cluster.logs = {"node-0": ["step 1", "step 2", "step 3"], "node-1": ["not relayed"]}

    return chapter


def test_a_training_runs_to_its_end_with_its_log_and_leaves_nothing(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://sss-mlflow:5000")
    cluster.story = [starts(cluster), lambda: None, lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    (job,) = cluster.created
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-launcher"
    assert {"name": "MLFLOW_TRACKING_URI", "value": "http://sss-mlflow:5000"} in job["spec"]["trainer"]["env"]
    said = capfd.readouterr().out.splitlines()
    assert said == [f"TrainJob {NAME} created in namespace kubeflow", "step 1", "step 2", "step 3"]
    assert (cluster.deleted, cluster.jobs) == ([NAME], {})


def test_lines_are_told_once_when_the_stream_breaks(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.breaks_log_after = 2
    cluster.story = [starts(cluster), lambda: None, lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    assert [line for line in capfd.readouterr().out.splitlines() if line.startswith("step")] == [
        *("step 1", "step 2", "step 3"),
    ]
    assert cluster.logs_opened > 1


def test_lines_written_just_before_the_end_are_told(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the job to end between two readings of the log.
    monkeypatch.setattr(launch, "_POLL_SECONDS", 0.3)

    def ends() -> None:
        while not cluster.logs_opened:
            time.sleep(0.01)
        cluster.logs["node-0"].append("step 4")
        cluster.end(NAME, "Complete")

    cluster.story = [starts(cluster), ends]
    run_training_job(**TRAINING)
    assert capfd.readouterr().out.splitlines()[-1] == "step 4"


def test_the_log_goes_on_in_the_pod_that_replaces_a_lost_one(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    def is_replaced() -> None:
        cluster.add_pod("node-0-again", NAME)
        cluster.pods["node-0-again"]["metadata"]["creationTimestamp"] = "2026-01-01T01:00:00Z"
        cluster.logs["node-0-again"] = ["resumed at step 3"]

    cluster.story = [starts(cluster), lambda: None, is_replaced, lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    assert capfd.readouterr().out.splitlines()[-1] == "resumed at step 3"


def test_a_cluster_that_is_away_is_asked_again(cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
    def goes_away() -> None:
        cluster.answers_away = 4

    cluster.answers_away = 1
    cluster.story = [starts(cluster), goes_away, lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    assert "503 (the server is currently unable to handle the request); asking again" in capfd.readouterr().out
    assert len(cluster.created) == 1
    assert cluster.deleted == [NAME]


def test_a_failed_training_says_where_it_failed_first_and_its_last_lines(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        cluster.add_pod("node-0", NAME, index=0, state=terminated(1, at="2026-01-01T00:10:05Z"))
        cluster.add_pod("node-1", NAME, index=1, state=terminated(137, "OOMKilled"))
        cluster.logs["node-1"] = ["step 9", "Killed"]

    def pods_are_deleted() -> None:
        cluster.pods.clear()
        cluster.end(NAME, "Failed", "jobset failed due to one or more job failures", "FailedJobs")

    cluster.story = [starts(cluster), fails, pods_are_deleted]
    with pytest.raises(TrainingJobError) as caught:
        run_training_job(**TRAINING)
    assert str(caught.value).splitlines() == [
        f"TrainJob {NAME} failed (FailedJobs): jobset failed due to one or more job failures; "
        "pod node-1 ended with exit code 137 (OOMKilled); its last lines:",
        "  step 9",
        "  Killed",
    ]
    assert "pod node-0 ended with exit code 1 (Error)" in capfd.readouterr().out
    assert cluster.jobs == {}


def test_the_last_lines_are_those_before_the_restart(cluster: FakeCluster) -> None:
    def restarts() -> None:
        cluster.add_pod("node-0", NAME, lastState=terminated(2))
        cluster.logs["node-0"] = ["starting again"]
        cluster.previous_logs["node-0"] = ["error: no such file"]

    cluster.story = [restarts, lambda: cluster.end(NAME, "Failed", "backoff limit", "BackoffLimitExceeded")]
    with pytest.raises(TrainingJobError, match=r"exit code 2 \(Error\); its last lines:\n  error: no such file$"):
        run_training_job(**TRAINING)


def test_a_job_that_fails_without_a_pod_gives_trainers_reason(cluster: FakeCluster) -> None:
    cluster.story = [lambda: cluster.end(NAME, "Failed", "no such runtime", "TrainingRuntimeNotSupported")]
    with pytest.raises(TrainingJobError, match=r"failed \(TrainingRuntimeNotSupported\): no such runtime$"):
        run_training_job(**TRAINING)


def test_a_job_that_someone_deletes_is_missed(cluster: FakeCluster) -> None:
    cluster.story = [starts(cluster), cluster.jobs.clear]
    with pytest.raises(TrainingJobError, match="was deleted while it ran"):
        run_training_job(**TRAINING)


def test_pods_without_a_node_are_told_of_and_then_given_up(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_SAY_AFTER_SECONDS", 0.0)
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    cluster.story = [lambda: cluster.add_unscheduled_pod("node-0", NAME, message)]
    placement = TRAINING["placement"] | {"schedule_minutes": 0.003}
    with pytest.raises(TrainingJobError, match=r"waited for 0.003 min: pod node-0 has no node \(Unschedulable\): 0/3"):
        run_training_job(**TRAINING | {"placement": placement})
    assert f"TrainJob {NAME} waits: pod node-0 has no node (Unschedulable): {message}" in capfd.readouterr().out
    assert cluster.jobs == {}


@pytest.mark.parametrize(
    ("chapter", "reason"),
    [
        (lambda cluster: None, "no pod has been made"),
        (
            lambda cluster: cluster.add_pod(
                "node-0", NAME, state={"waiting": {"reason": "ImagePullBackOff", "message": "back-off pulling"}}
            ),
            r"pod node-0 does not start \(ImagePullBackOff\): back-off pulling",
        ),
    ],
)
def test_pods_that_do_not_start_are_given_up_with_the_reason(
    cluster: FakeCluster, chapter: Callable[[FakeCluster], None], reason: str
) -> None:
    cluster.story = [lambda: chapter(cluster)]
    placement = TRAINING["placement"] | {"schedule_minutes": 0.003}
    with pytest.raises(TrainingJobError, match=reason):
        run_training_job(**TRAINING | {"placement": placement})


@pytest.mark.parametrize("right", ["GET trainjobs", "POST trainjobs", "GET pods", "GET pods/log"])
def test_a_missing_right_is_one_sentence_that_names_it(cluster: FakeCluster, right: str) -> None:
    cluster.forbidden = {right}
    cluster.story = [starts(cluster)]
    verb = {"GET pods": "list", "POST trainjobs": "create"}.get(right, "get")
    sentence = rf"^the cluster forbids to {verb} {right.split()[1]} in namespace kubeflow \(.* is forbidden: .*\); .*"
    with pytest.raises(InputError, match=sentence + r"expected the role sss-pipeline to be bound") as caught:
        run_training_job(**TRAINING)
    assert "\n" not in str(caught.value)
    assert cluster.jobs == {}


def test_a_right_missing_only_at_the_end_does_not_fail_the_training(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = {"DELETE trainjobs"}
    cluster.story = [starts(cluster), lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    assert f"TrainJob {NAME} could not be deleted: the cluster forbids to delete trainjobs" in capfd.readouterr().out


def test_a_cluster_without_trainer_is_told_from_one_without_the_job(cluster: FakeCluster) -> None:
    cluster.has_trainer = False
    with pytest.raises(InputError, match=r"knows no TrainJob .* expected Kubeflow Trainer 2\.3"):
        run_training_job(**TRAINING)


def test_no_cluster_at_all_is_told_at_once(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(InputError, match="no cluster to train on several nodes"):
        run_training_job(**TRAINING)


def test_a_running_job_of_a_dead_attempt_is_taken_over(
    cluster: FakeCluster, left: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    left()
    cluster.story = [starts(cluster), lambda: None, lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    assert cluster.created == [{}]
    assert "is taken over\nstep 1\nstep 2\nstep 3\n" in capfd.readouterr().out
    assert cluster.jobs == {}


def ends_badly(cluster: FakeCluster) -> None:
    cluster.end(NAME, "Failed")


@pytest.mark.parametrize(
    ("earlier", "owner_phase", "spoil"),
    [
        ({"arguments": ["--params", "/sss/work/other.yaml"]}, "Failed", lambda cluster: None),
        ({}, "Failed", ends_badly),
        # Kubernetes deletes it any moment.
        ({}, None, lambda cluster: None),
    ],
    ids=["another spec", "failed", "its owner is gone"],
)
def test_a_job_that_will_not_do_is_replaced(
    cluster: FakeCluster,
    left: Callable[..., None],
    earlier: dict[str, Any],
    owner_phase: str | None,
    spoil: Callable[[FakeCluster], None],
) -> None:
    left(owner_phase=owner_phase, **earlier)
    spoil(cluster)
    cluster.story = [lambda: None, lambda: None, starts(cluster), lambda: cluster.end(NAME, "Complete")]
    run_training_job(**TRAINING)
    (_, replacement) = cluster.created
    assert replacement["metadata"]["ownerReferences"][0]["uid"] == "uid-launcher"
    assert cluster.deleted == [NAME, NAME]


def test_a_job_whose_launcher_lives_is_left_alone(cluster: FakeCluster, left: Callable[..., None]) -> None:
    left(owner_phase="Running")
    with pytest.raises(InputError, match="pod earlier is at this same training; expected to be alone"):
        run_training_job(**TRAINING)
    assert (list(cluster.jobs), cluster.deleted) == ([NAME], [])


def test_an_interrupted_launcher_deletes_its_job(cluster: FakeCluster) -> None:
    cluster.story = [lambda: None, lambda: os.kill(os.getpid(), signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt):
        run_training_job(**TRAINING)
    assert (cluster.jobs, cluster.deleted) == ({}, [NAME])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_killed_launcher_takes_its_job_with_it(cluster: FakeCluster) -> None:
    # The stream stays open, so that the line can only have come as it was written.
    cluster.log_may_end.clear()
    cluster.story = [starts(cluster)]
    program = (
        "from sss_ops.cluster import trainjob_launch\n"
        f"trainjob_launch._POLL_SECONDS = 0.02; trainjob_launch.run_training_job(**{TRAINING!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "step 3" not in process.stdout.readline():
            assert process.poll() is None
        assert list(cluster.jobs) == [NAME]
        process.terminate()
    assert process.returncode == 143
    assert (cluster.jobs, cluster.deleted) == ({}, [NAME])
