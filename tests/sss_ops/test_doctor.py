import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
import yaml
from dvc.repo import Repo
from support.kfp_server import kfp_server
from support.object_store import object_store
from support.tracking_server import tracking_server
from typer.testing import CliRunner

from sss_model.config import Config, dump_config
from sss_model.files import sha256
from sss_ops import doctor
from sss_ops.command_line import new_app
from sss_ops.doctor import checks, machine, services
from sss_ops.doctor.checks import CheckResult, run_checks
from sss_ops.doctor.cluster import PodRequest, check_kubernetes
from sss_ops.storage.published import Published

NOTHING = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No service is configured, whatever this machine has."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "KFP_", "MLFLOW_TRACKING", "KUBE")):
            monkeypatch.delenv(name)
    for name in ("KUBECONFIG", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)


def one(lines: list[CheckResult]) -> tuple[str, str, str]:
    (line,) = lines
    return line.state, line.found, line.fix


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), ["sss-data"]) as (_, environment):
        yield environment


@pytest.fixture
def keys(store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    return store


def test_a_store_takes_a_probe_and_keeps_nothing_of_it(keys: dict[str, str]) -> None:
    assert one(services.check_object_store("sss-data"))[0] == "green"
    assert one(services.check_object_store(None))[0] == "green"
    assert "Contents" not in boto3.Session().client("s3").list_objects_v2(Bucket="sss-data")


def test_a_bucket_that_is_missing_is_red(keys: dict[str, str]) -> None:
    state, found, fix = one(services.check_object_store("nowhere"))
    assert (state, found.split(": ")[-1]) == ("red", "no such bucket")
    assert fix.startswith("make the bucket")


def test_a_wrong_key_is_red_and_not_shown(keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    state, found, fix = one(services.check_object_store("sss-data"))
    assert state == "red"
    assert "AWS_SECRET_ACCESS_KEY" in fix
    assert "planted-secret" not in found + fix


def test_a_store_that_is_not_there_is_red(keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOTHING)
    state, found, fix = one(services.check_object_store("sss-data"))
    assert (state, NOTHING in found, "AWS_ENDPOINT_URL" in fix) == ("red", True, True)


def test_a_dvc_remote_has_the_version_or_not(tmp_path: Path) -> None:
    repository = Repo.init(str(tmp_path), no_scm=True)
    assert one(services.check_dvc_remote(tmp_path))[0] == "grey"
    with repository.config.edit() as config:
        config["core"]["remote"] = "local"
        config["remote"]["local"] = {"url": str(tmp_path / "remote")}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/scan").write_text("bytes")
    repository.add("data")
    assert one(services.check_dvc_remote(tmp_path))[::2] == (
        "yellow",
        "run `dvc push`, so that others and the cluster get it",
    )
    repository.push()
    assert one(services.check_dvc_remote(tmp_path))[0] == "green"


@pytest.fixture(scope="module")
def mlflow_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("mlflow")
    with tracking_server(folder, artifacts=str(folder)) as port:
        yield port


def test_mlflow_answers_or_refuses_the_host_it_was_not_told_of(
    mlflow_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{mlflow_port}")
    state, found, _ = one(services.check_mlflow())
    assert (state, "experiments can be listed" in found) == ("green", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow_port}")
    fix = f"start the server with 127.0.0.1:{mlflow_port} in --allowed-hosts"
    assert one(services.check_mlflow())[::2] == ("red", fix)


def test_servers_that_are_not_there_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOTHING)
    assert one(services.check_mlflow())[:2] == ("red", f"{NOTHING}: nothing listens")
    (line,) = run_checks({"Kubeflow Pipelines": lambda: services.check_pipelines(NOTHING)}, {})
    assert (line.state, line.found) == ("red", f"{NOTHING}: nothing listens")


def test_kubeflow_pipelines_fits_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with kfp_server() as server:
        assert one(services.check_pipelines(server.host))[0] == "green"
        server.health = {"tag_name": "2.16.0"}
        assert one(services.check_pipelines(server.host))[0] == "yellow"
        server.health = {"tag_name": "2.5.0"}
        (line,) = run_checks({"Kubeflow Pipelines": lambda: services.check_pipelines(server.host)}, {})
        assert (line.state, line.fix) == ("red", "expected a server of 2.16 or newer, below 3")


Cluster = Callable[[dict[str, Any]], None]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Serves a Kubernetes API's answers by path; a number is a refusal."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            found = answers.get(self.path, 404)
            data = json.dumps({} if isinstance(found, int) else found).encode()
            self.send_response(found if isinstance(found, int) else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    _write_context(tmp_path / "config", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    try:
        yield answers.update
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _write_context(path: Path, server: str) -> None:
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    content = {"current-context": "c", "contexts": [context], "users": [{"name": "u", "user": {}}]}
    path.write_text(yaml.safe_dump({**content, "clusters": [{"name": "c", "cluster": {"server": server}}]}))


def _answers(*, allowed: bool = True, groups: tuple[str, ...] = ("trainer.kubeflow.org",), nodes: Any = 403) -> Any:
    version = {name: "" for name in ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform")}
    listed = [
        {"name": name, "versions": [{"groupVersion": f"{name}/v1alpha1", "version": "v1alpha1"}]} for name in groups
    ]
    return {
        "/version/": {**version, "major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {"spec": {}, "status": {"allowed": allowed}},
        "/apis/": {"groups": listed},
        "/api/v1/nodes": nodes if isinstance(nodes, int) else {"items": nodes},
    }


def _node(name: str, *, gpus: int = 1, **labels: str) -> dict[str, Any]:
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    return {
        "metadata": {"name": name, "labels": {key.replace("__", "/"): value for key, value in labels.items()}},
        "spec": {"taints": [taint]},
        "status": {"allocatable": {"nvidia.com/gpu": str(gpus), "cpu": "7910m", "memory": "28Gi"}},
    }


def _states(request: PodRequest) -> dict[str, str]:
    return {line.name: line.state for line in check_kubernetes("kubeflow", request)}


def test_a_cluster_with_rights_trainer_and_a_node_that_fits_is_green(cluster: Cluster) -> None:
    l4 = {"metadata": {"labels": {"cloud.google.com/gke-accelerator": "nvidia-l4"}}}
    cluster(_answers(nodes=[_node("small", gpus=0), {**_node("l4"), **l4}]))
    assert set(_states(PodRequest("gke", 1, 1, False)).values()) == {"green"}
    assert set(_states(PodRequest(None, 1, 1, False)).values()) == {"green"}
    two = {line.name: line for line in check_kubernetes("kubeflow", PodRequest("gke", 1, 2, False))}["GPU nodes"]
    assert (two.state, "cloud.google.com/gke-accelerator=nvidia-l4" in two.fix) == ("yellow", True)


def test_a_cluster_that_lacks_things_says_which(cluster: Cluster) -> None:
    cluster(_answers(allowed=False, groups=()))
    states = _states(PodRequest("gke", 1, 2, False))
    assert states == {
        "Kubernetes": "green",
        "TrainJob rights": "yellow",
        "Kubeflow Trainer": "red",
        "GPU nodes": "grey",
    }


def test_a_taint_that_the_pool_does_not_tolerate_keeps_it_out(cluster: Cluster) -> None:
    node = _node("own", nvidia__com="x")
    node["metadata"]["labels"] = {"nvidia.com/gpu.present": "true"}
    cluster(_answers(nodes=[node]))
    assert _states(PodRequest("bare", 1, 1, False))["GPU nodes"] == "green"
    node["spec"]["taints"].append({"key": "team", "value": "other", "effect": "NoSchedule"})
    assert _states(PodRequest("bare", 1, 1, False))["GPU nodes"] == "yellow"


def test_a_cluster_that_is_away_or_refuses_us_is_red(cluster: Cluster, tmp_path: Path) -> None:
    cluster({"/version/": 401})
    assert "log in" in one(check_kubernetes("kubeflow", PodRequest(None, 1, 1, False)))[2]
    _write_context(tmp_path / "config", NOTHING)
    assert one(check_kubernetes("kubeflow", PodRequest(None, 1, 1, False)))[:2] == (
        "red",
        f"{NOTHING}: nothing listens",
    )


def test_a_checkpoint_is_known_by_its_bytes_and_holds_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.pt"
    assert one(machine.check_pretrained(path, tmp_path / "none"))[:2] == ("red", f"{path}: no such checkpoint")
    torch.save({"model": {"weight": torch.zeros(1)}}, path)
    assert one(machine.check_pretrained(path, tmp_path / "none"))[0] == "yellow"
    known = Published("tiny", "2.1", "sam2.1_hiera_tiny.pt", "092824", path.stat().st_size, sha256(path))
    monkeypatch.setattr("sss_ops.storage.published.PUBLISHED", (known,))
    assert one(machine.check_pretrained(path, tmp_path / "none"))[0] == "green"
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / known.file)
    state, found, _ = one(machine.check_pretrained(tmp_path / known.file, tmp_path / "none"))
    assert (state, found.endswith(" bytes")) == ("red", True)
    torch.save({"model": Path("code")}, path)
    assert one(machine.check_pretrained(path, tmp_path / "none"))[0] == "red"


@pytest.mark.parametrize(
    ("named", "state", "found"),
    [
        ("tiny", "yellow", "sam2.1_hiera_tiny.pt: not here yet"),
        ("s3://bucket/own.pt", "grey", "s3://bucket/own.pt: fetched when a training starts"),
        ("own.pt", "red", "own.pt: no such checkpoint"),
    ],
)
def test_a_checkpoint_that_the_recipe_names_is_looked_for_and_not_fetched(
    recipe: Callable[..., Config], named: str, state: str, found: str
) -> None:
    config = recipe({"model.encoder": "tiny", "model.checkpoint": named})
    Path("params.yaml").write_text(yaml.safe_dump(dump_config(config)))
    assert one(machine.check_pretrained(None, Path("params.yaml")))[:2] == (state, found)


def test_packages_are_held_against_the_locks(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    for pins, state in (
        ("", "grey"),
        (f"torch=={torch.__version__.split('+')[0]} \\\n", "green"),
        ("torch==0.0.1 \\\n", "yellow"),
        ("no-such-package==1.0 \\\n", "red"),
        ("no-such-package==1.0 ; python_version < '3' \\\n", "grey"),
    ):
        lock.write_text(pins)
        assert one(machine.check_packages(tmp_path))[0] == state


def test_a_check_that_hangs_or_breaks_is_red_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LIMIT_SECONDS", 0.1)
    wait = threading.Event()

    def hang() -> list[CheckResult]:
        wait.wait()
        return []

    lines = run_checks({"broken": lambda: [CheckResult("x", "green", str(1 // 0))]}, {"hung": hang})
    wait.set()
    assert [(line.name, line.state) for line in lines] == [("broken", "red"), ("hung", "red")]


def test_the_command_tells_red_by_its_exit_code_and_speaks_json(monkeypatch: pytest.MonkeyPatch) -> None:
    app = new_app()
    app.command()(doctor.doctor_command)
    done = CliRunner().invoke(app, ["--json"])
    assert done.exit_code == 0, done.output
    lines = [CheckResult(**json.loads(line)) for line in done.output.splitlines()]
    services_of = {"S3", "DVC remote", "MLflow", "Kubeflow Pipelines", "Kubernetes"}
    assert {line.name for line in lines if line.state == "grey"} >= services_of
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOTHING)
    table = CliRunner().invoke(app, [], env={"COLUMNS": "200"})
    assert table.exit_code == 1
    assert f"{NOTHING}: nothing listens" in table.output
    assert "correct MLFLOW_TRACKING_URI" in table.output
