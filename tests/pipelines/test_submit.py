import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import pytest
from support.kfp_server import KfpServer, kfp_server

from pipelines import cluster_check
from pipelines.compile import read_package, write_without_cache
from pipelines.submit import Submitted, submit
from sss_model.errors import InputError

TOKEN = "planted-token-5c1a"
DONE = {"run": "SUCCEEDED", "train": "SUCCEEDED", "exit-handler-1": "SUCCEEDED", "executor": "SUCCEEDED"}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of our form, with its task inside an exit handler."""

    @kfp.dsl.component(base_image="sss", install_kfp_package=False)
    def train(steps: int) -> None:
        pass

    @kfp.dsl.component(base_image="sss", install_kfp_package=False)
    def report_end(status: kfp.dsl.PipelineTaskFinalStatus) -> None:
        pass

    @kfp.dsl.pipeline(name="sss-training")
    def training(steps: int = 1, minutes: float = 0.0, spot: bool = False, recipe: str = "phantom") -> None:
        with kfp.dsl.ExitHandler(report_end()):
            train(steps=steps).set_display_name("Train")

    path = tmp_path_factory.mktemp("package") / "sss-training.yaml"
    kfp.compiler.Compiler().compile(training, str(path))
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    for name in ("KFP_HOST", "KFP_TOKEN", "KFP_TOKEN_FILE", "KF_PIPELINES_UI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pipelines.watch.POLL_SECONDS", 0.02)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with kfp_server() as running:
        yield running


def start(package: Path, host: str, *, wait: bool = True, cached: bool = True, **arguments: object) -> Submitted:
    return submit(
        package,
        host=host,
        experiment="sss",
        arguments=arguments,
        namespace=None,
        run_name=None,
        service_account="pipeline-runner",
        wait=wait,
        timeout_minutes=0.5,
        cached=cached,
    )


def test_a_run_is_made_of_an_uploaded_version_and_followed_to_its_end(
    server: KfpServer, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.states = [{"run": "PENDING"}, {"run": "RUNNING", "train": "RUNNING"}, DONE]
    done = start(package, server.host, steps=7, minutes=2.5, spot=True)
    assert done == Submitted("r1", f"{server.host}/#/runs/details/r1", "SUCCEEDED", "", {"train": "SUCCEEDED"})
    (run,) = server.runs
    assert run["runtime_config"]["parameters"] == {"steps": 7, "minutes": 2.5, "spot": True}
    assert run["pipeline_version_reference"] == {"pipeline_id": "p1", "pipeline_version_id": "v1"}
    assert run["service_account"] == "pipeline-runner"
    assert capsys.readouterr().out.splitlines() == [
        f"run: {done.link}",
        "Train: running",
        "Train: succeeded",
        f"the run succeeded: {done.link}",
    ]


def test_the_same_package_is_uploaded_once_and_another_is_a_new_version(
    server: KfpServer, package: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(package.read_text() + "# changed\n")
    for each in (package, package, other):
        start(each, server.host, wait=False)
    assert len(server.pipelines) == 1
    assert [version["display_name"] for version in server.versions] == [
        read_package(each).version for each in (package, other)
    ]


def test_without_cache_every_task_runs_again_and_no_version_is_left(
    server: KfpServer, package: Path, tmp_path: Path
) -> None:
    write_without_cache(read_package(package), tmp_path / "copy.yaml")
    assert "enableCache" in package.read_text()
    assert "enableCache" not in (tmp_path / "copy.yaml").read_text()
    start(package, server.host, wait=False, cached=False)
    assert server.versions == []
    assert "enableCache" not in str(server.runs[0]["pipeline_spec"])


def test_a_failed_task_is_named_with_its_reason(server: KfpServer, package: Path) -> None:
    server.states = [{"run": "FAILED", "train": ("FAILED", "OOMKilled"), "exit-handler-1": ("FAILED", "child failed")}]
    done = start(package, server.host)
    assert (done.state, done.error) == ("FAILED", "the task train (Train) failed: OOMKilled")


def test_a_driver_that_failed_speaks_for_its_task(server: KfpServer, package: Path) -> None:
    server.states = [{"run": "FAILED", "train-driver": ("FAILED", "no such volume")}]
    assert start(package, server.host).error == "the task train (Train) failed: no such volume"


def test_a_lost_connection_is_tried_again_and_told_once(
    server: KfpServer, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.states, server.broken = [DONE], 12
    assert start(package, server.host).state == "SUCCEEDED"
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "connection" in line or "again" in line] == [
        "connection lost (the connection broke); trying again",
        "the server answers again",
    ]


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_token_opens_the_door_and_is_never_shown(
    server: KfpServer,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.token = TOKEN
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    if place == "variable":
        monkeypatch.setenv("KFP_TOKEN", TOKEN)
    else:
        monkeypatch.setenv("KFP_TOKEN_FILE", str(tmp_path / "token"))
    assert start(package, server.host).state == "SUCCEEDED"
    # A server that echoes what it refuses.
    server.token = "another"
    with pytest.raises(InputError) as refused:
        start(package, server.host)
    assert "401, the token is not accepted; expected a valid token in KFP_TOKEN" in str(refused.value)
    said = capfd.readouterr()
    assert TOKEN not in f"{said.out}{said.err}{caplog.text}{refused.value}"


def test_no_token_where_one_is_wanted(server: KfpServer, package: Path) -> None:
    server.token = TOKEN
    with pytest.raises(InputError, match="401, no token is set; expected a valid token in KFP_TOKEN"):
        start(package, server.host)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9: nothing listens; expected a server"),
        ("http://nowhere.invalid", "http://nowhere.invalid: no host of that name"),
        ("http://user:secret@localhost:8O80", "^localhost:8O80: no address of a server"),
        ("", "KFP_HOST: not set"),
    ],
)
def test_a_wrong_host_is_one_sentence(server: KfpServer, package: Path, host: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        start(package, host)


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        ({"tag_name": "2.15.0"}, "Pipelines 2.15.0, and this client is .*; expected a server of 2.16 or newer"),
        ({"tag_name": "3.0.1"}, "Kubeflow Pipelines 3.0.1"),
        ({"apiServerReady": False}, "the UI answers, its API server does not"),
        ("<html>login</html>", "answers 200, but is no Kubeflow Pipelines"),
    ],
)
def test_a_server_that_can_not_work_is_refused(server: KfpServer, package: Path, health: Any, sentence: str) -> None:
    server.health = health
    with pytest.raises(InputError, match=sentence):
        start(package, server.host)
    assert server.runs == []


@pytest.mark.parametrize(
    ("health", "warning"),
    [
        ({"tag_name": "unknown"}, "does not tell its version"),
        ({"apiServerTagName": "2.16.1"}, "has 2.16.1, older than"),
    ],
)
def test_a_server_that_may_work_is_warned_of(
    server: KfpServer, package: Path, health: Any, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.health = health
    start(package, server.host, wait=False)
    assert warning in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"step": 7}, "step: no such parameter; did you mean steps"), ({"steps": 1.5}, "found '1.5'; expected a whole")],
)
def test_arguments_are_checked_before_anything_is_sent(
    server: KfpServer, package: Path, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        start(package, server.host, **arguments)
    assert server.pipelines == []


def test_control_c_ends_the_waiting_and_not_the_run(server: KfpServer, package: Path, tmp_path: Path) -> None:
    server.states = [{"run": "RUNNING", "train": "RUNNING"}]
    command = [sys.executable, "-u", "-m", "pipelines", "submit", "--package", str(package), "--host", server.host]
    environment = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout
        while "running" not in waiting.stdout.readline():
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        rest, complaints = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert f"stopped waiting; the run goes on: {server.host}/#/runs/details/r1" in rest
    assert "Traceback" not in complaints


def test_the_cluster_check_tells_what_was_proven_and_what_to_mend(
    server: KfpServer, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sss_ops.doctor.cluster import PodRequest

    request = PodRequest("gke", 1, 1, False)
    titles = {"version-data": "Fetch", "train": "Train"}
    run = Submitted("r1", "link", "FAILED", "the task train (Train) failed: OOMKilled", {"version-data": "SUCCEEDED"})
    fetched, failed = cluster_check.proof_lines(run, titles, request)
    assert (fetched.name, fetched.state) == ("Fetch", "green")
    assert (failed.state, failed.fix) == ("red", "give the pool more memory in sss_ops/cluster/pools.yaml")
