"""A web server of files that misbehaves when told, and a proxy that breaks answers off; on loopback."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3


@dataclass
class FileServer:
    """What the server has and how it behaves; to be changed while it runs.

    Attributes:
        files: bytes by path.
        ranges: whether it answers a Range with a part.
        cuts: after how many bytes each of the next answers breaks off.
        failures: status codes of the next answers, before any file is sent.
        announces: whether it says how long a file is.
        asked: path and Range of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    announces: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run it; nothing is left of it afterwards."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers["Range"]))
            content = state.files.get(self.path)
            if state.failures or content is None:
                self.send_error(state.failures.pop(0) if state.failures else 404)
                return
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "") if state.ranges else None
            start = int(wanted[1]) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if state.announces:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def breaking_proxy(port: int, *, broken: str) -> Iterator[str]:
    """Pass requests on to ``localhost:port``; of a file whose address holds `broken`, only the first half comes back.

    Yields:
        Its address.
    """
    pool = urllib3.PoolManager()

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            headers = {**kept, "Host": f"localhost:{port}", "Accept-Encoding": "identity"}
            answer = pool.request(self.command, f"http://127.0.0.1:{port}{self.path}", body=body, headers=headers)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            half = self.command == "GET" and broken in self.path.partition("?")[0]
            self.wfile.write(answer.data[: len(answer.data) // 2] if half else answer.data)

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self.pass_on
            raise AttributeError(name)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
