"""A cluster's API as far as launching a TrainJob needs it, over real HTTP on the loopback.

A test tells a story: each time the launcher looks at its job, the next chapter changes what the cluster holds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/kubeflow/trainjobs"
PODS = "/api/v1/namespaces/kubeflow/pods"


class FakeCluster:
    """What the cluster holds; a test changes it at will."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.pods: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[str]] = {}
        self.previous_logs: dict[str, list[str]] = {}
        self.story: list[Callable[[], None]] = []
        self.looks_left = 300
        self.forbidden: set[str] = set()
        self.answers_away = 0
        self.has_trainer = True
        self.breaks_log_after: int | None = None
        self.logs_opened = 0
        self.log_may_end = threading.Event()
        self.log_may_end.set()

    def end(self, name: str, kind: str, message: str = "jobset completed", reason: str = "JobsReason") -> None:
        """Give a job its last condition, as Trainer words it."""
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        self.jobs[name]["status"] = {"conditions": [condition]}

    def add_pod(self, name: str, job: str, *, index: int = 0, **state: Any) -> None:
        """A pod of a job; `state` as in its container's status."""
        container = {
            "name": "node",
            "image": "sss",
            "imageID": "sss",
            "ready": True,
            "restartCount": 1 if "lastState" in state else 0,
            **({"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}} | state),
        }
        self.pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {
                    "jobset.sigs.k8s.io/jobset-name": job,
                    "batch.kubernetes.io/job-completion-index": str(index),
                },
            },
            "status": {"phase": "Running", "containerStatuses": [container]},
        }

    def add_unscheduled_pod(self, name: str, job: str, message: str) -> None:
        """A pod that the scheduler finds no node for."""
        self.add_pod(name, job)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self.pods[name]["status"] = {"phase": "Pending", "conditions": [condition]}

    @contextmanager
    def serve(self, kubeconfig: Path) -> Iterator[None]:
        """Answer on the loopback while the ``with`` lasts; `kubeconfig` is written to lead there."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        _write_kubeconfig(kubeconfig, f"http://127.0.0.1:{server.server_port}")
        try:
            yield
        finally:
            self.log_may_end.set()
            server.shutdown()
            server.server_close()


def terminated(exit_code: int, reason: str = "Error", *, at: str = "2026-01-01T00:10:00Z") -> dict[str, Any]:
    """A container's state after its end."""
    return {"terminated": {"exitCode": exit_code, "reason": reason, "finishedAt": at}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cluster: FakeCluster

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if self._refused(url.path):
            return
        if url.path.startswith(JOBS):
            self._get_job(url.path.rpartition("/")[2])
        elif url.path == PODS:
            self._list_pods(parse_qs(url.query)["labelSelector"][0].partition("=")[2])
        elif url.path.endswith("/log"):
            self._log(url.path.split("/")[-2], parse_qs(url.query))
        else:
            self._found(self.cluster.pods, url.path.rpartition("/")[2])

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused(self.path):
            return
        name = job["metadata"]["name"]
        if name in self.cluster.jobs:
            return self._status(409, f'trainjobs.trainer.kubeflow.org "{name}" already exists')
        self.cluster.jobs[name] = job
        self.cluster.created.append(job)
        self._json(201, job)

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        name = url.path.rpartition("/")[2]
        # Deleted otherwise, a job's name would be free while its pods still run.
        assert parse_qs(url.query)["propagationPolicy"] == ["Foreground"]
        if not self._refused(self.path):
            self.cluster.deleted.append(name)
            gone = self.cluster.jobs.pop(name, None)
            self._found({name: gone} if gone else {}, name)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _refused(self, path: str) -> bool:
        cluster = self.cluster
        kind = "pods/log" if path.endswith("/log") or "/log?" in path else "trainjobs" if JOBS in path else "pods"
        if cluster.answers_away:
            cluster.answers_away -= 1
            self._status(503, "the server is currently unable to handle the request")
        elif f"{self.command} {kind}" in cluster.forbidden:
            self._status(403, f'{kind} is forbidden: User "system:serviceaccount:kubeflow:pipeline-runner" cannot')
        elif kind == "trainjobs" and not cluster.has_trainer:
            self._send(404, "text/plain", b"404 page not found\n")
        else:
            return False
        return True

    def _get_job(self, name: str) -> None:
        cluster = self.cluster
        if cluster.created and cluster.story:
            cluster.story.pop(0)()
        # A launcher that waits for ever is a failed test, not one that hangs.
        cluster.looks_left -= 1
        if cluster.looks_left < 0 and name in cluster.jobs:
            cluster.end(name, "Failed", "the story is over")
        self._found(cluster.jobs, name)

    def _list_pods(self, job: str) -> None:
        label = "jobset.sigs.k8s.io/jobset-name"
        pods = [pod for pod in self.cluster.pods.values() if pod["metadata"]["labels"][label] == job]
        self._json(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})

    def _log(self, pod: str, query: dict[str, list[str]]) -> None:
        """The log as the API sends it: chunked, each line stamped where asked for, cut short where a test says so."""
        cluster = self.cluster
        cluster.logs_opened += 1
        lines = (cluster.previous_logs if _is_on(query, "previous") else cluster.logs).get(pod, [])
        breaks_after, cluster.breaks_log_after = cluster.breaks_log_after, None
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, line in enumerate(lines[:breaks_after]):
            stamp = f"2026-01-01T00:00:00.{number:09d}Z " if _is_on(query, "timestamps") else ""
            data = f"{stamp}{line}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if breaks_after is not None:
            self.close_connection = True
            return
        if _is_on(query, "follow"):
            cluster.log_may_end.wait()
        self.wfile.write(b"0\r\n\r\n")

    def _found(self, objects: dict[str, dict[str, Any]], name: str) -> None:
        if name in objects:
            self._json(200, objects[name])
        else:
            self._status(404, f'"{name}" not found')

    def _status(self, code: int, message: str) -> None:
        self._json(code, {"kind": "Status", "status": "Failure", "code": code, "message": message})

    def _json(self, code: int, content: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(content).encode())

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _is_on(query: dict[str, list[str]], option: str) -> bool:
    # The API takes either case; the client writes Python's.
    return query.get(option, [""])[0].lower() == "true"


def _write_kubeconfig(path: Path, server: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": server}}],
        "users": [{"name": "launcher", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "launcher"}}],
        "current-context": "fake",
    }
    path.write_text(yaml.safe_dump(config))
