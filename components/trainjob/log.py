"""The log of a TrainJob's first node, as it grows, in the log of the pod that launched it."""

from __future__ import annotations

import threading

from components.trainjob.client import ClusterAwayError, TrainJobClient
from components.trainjob.pods import first_node
from sss_model.errors import InputError


class LogRelay:
    """Prints the first node's lines from a thread, each once, also when the stream breaks or the pod is replaced.

    A stream that is opened again starts at the log's beginning; lines are known by their time.
    """

    def __init__(self, client: TrainJobClient, job: str, *, pause_seconds: float) -> None:
        self.error: InputError | None = None
        """What the cluster refused; no more lines come then."""
        self._client, self._job, self._pause = client, job, pause_seconds
        self._pod, self._last = "", ""
        self._finishing = threading.Event()
        # A thread that waits for a line must not keep a process that was told to end.
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Print what is there and no more; returns at once."""
        self._finishing.set()

    def finish(self) -> None:
        """Print what is left of the log, once the job has ended."""
        self.stop()
        self._thread.join(timeout=60)

    def _relay(self) -> None:
        try:
            while not self._finishing.is_set():
                self._print_lines(follow=True)
                self._finishing.wait(self._pause)
            self._print_lines(follow=False)
        except InputError as error:
            self.error = error

    def _print_lines(self, *, follow: bool) -> None:
        try:
            pod = first_node(self._client.pods_of(self._job))
            if pod is None:
                return
            if pod.metadata.uid != self._pod:
                self._pod, self._last = pod.metadata.uid, ""
            for stamp, text in self._client.log(pod.metadata.name, follow=follow):
                if stamp > self._last:
                    self._last = stamp
                    print(text, flush=True)
        except ClusterAwayError:
            pass  # the caller asks again, and the launcher says so where the cluster is away for long
