"""A stand-in for Kubeflow Pipelines' API, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/apis/v2beta1"


@dataclass
class KfpServer:
    """What the server answers, and what it was asked; a test changes it as it likes.

    Attributes:
        states: what the run's tasks and the run itself are at each look, the last one for ever.
        broken: how many looks at the run end in a closed connection.
    """

    health: Any = field(default_factory=lambda: {"tag_name": "2.17.0", "multi_user": False})
    token: str = ""
    states: list[dict[str, Any]] = field(default_factory=lambda: [{"run": "SUCCEEDED"}])
    broken: int = 0
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    host: str = ""

    def get(self, path: str, query: dict[str, list[str]]) -> Any:
        name = _name(query)
        match path.removeprefix(API).strip("/").split("/"):
            case ["healthz"]:
                return self.health
            case ["experiments"]:
                return {"experiments": []}
            case ["pipelines"]:
                return {"pipelines": [each for each in self.pipelines if each["display_name"] == name]}
            case ["pipelines", _, "versions"]:
                return {"pipeline_versions": [each for each in self.versions if each["display_name"] == name]}
            case ["runs", _]:
                return self._look()
        return None

    def post(self, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        match path.removeprefix(API).strip("/").split("/"):
            case ["experiments"]:
                return {**json.loads(body), "experiment_id": "e1"}
            case ["pipelines"]:
                self.pipelines.append({**json.loads(body), "pipeline_id": "p1"})
                return self.pipelines[-1]
            case ["pipelines", "upload_version"]:
                version = {"pipeline_id": "p1", "pipeline_version_id": f"v{len(self.versions) + 1}"}
                self.versions.append({**version, "display_name": query["name"][0]})
                return self.versions[-1]
            case ["runs"]:
                self.runs.append({**json.loads(body), "run_id": f"r{len(self.runs) + 1}"})
                return self.runs[-1]
        return None

    def _look(self) -> dict[str, Any]:
        now = dict(self.states.pop(0) if len(self.states) > 1 else self.states[0])
        state, details = now.pop("run"), [task(name, *_pair(value)) for name, value in now.items()]
        return {"run_id": "r1", "state": state, "run_details": {"task_details": details}}


def task(name: str, state: str, error: str) -> dict[str, Any]:
    detail = {"task_id": f"id-{name}", "display_name": name, "state": state}
    return {**detail, "error": {"code": 2, "message": error}} if error else detail


def _pair(value: Any) -> tuple[str, str]:
    return (value, "") if isinstance(value, str) else value


def _name(query: dict[str, list[str]]) -> str:
    return str(json.loads(query["filter"][0])["predicates"][0]["stringValue"]) if "filter" in query else ""


@contextmanager
def kfp_server() -> Iterator[KfpServer]:
    """Serve on loopback; its `host` is its address."""
    state = KfpServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if state.broken and "/runs/" in url.path:
                state.broken -= 1
                return self.connection.close()
            self._answer(lambda: state.get(url.path, parse_qs(url.query)))

        def do_POST(self) -> None:
            url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(lambda: state.post(url.path, parse_qs(url.query), body))

        def _answer(self, content: Any) -> None:
            given = self.headers.get("authorization", "")
            if state.token and given != f"Bearer {state.token}":
                return self._send(401, {"message": f"not accepted: {given}"})
            found = content()
            self._send(404 if found is None else 200, found or {})

        def _send(self, status: int, content: Any) -> None:
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.host = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
