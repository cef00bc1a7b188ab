"""A server between a client and MLflow that breaks some answers off in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3


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
