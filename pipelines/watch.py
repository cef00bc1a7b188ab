"""Follow a run in Kubeflow to its end: a table on a terminal, a line per change in a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.errors import connection_problem

if TYPE_CHECKING:
    import kfp
    from rich.table import Table


POLL_SECONDS = 5.0
SUCCEEDED = "SUCCEEDED"
ENDS = (SUCCEEDED, "FAILED", "CANCELED", "SKIPPED")
_COLOURS = {SUCCEEDED: "green", "FAILED": "red", "CANCELED": "red", "RUNNING": "cyan"}
_TRANSIENT = (408, 429)


def follow_run(client: kfp.Client, run_id: str, *, tasks: Mapping[str, str], timeout_minutes: float) -> Any:
    """Wait for the end of a run, and show the states of its tasks.

    A lost connection is retried until the time is up. Ctrl-C ends the waiting, not the run.

    Args:
        tasks: Kubeflow's names of the tasks to their display names.

    Returns:
        KFP's ``V2beta1Run``; its state is one of `ENDS`.

    Raises:
        InputError: the time is up, or the server refuses to tell.
    """
    deadline = time.monotonic() + timeout_minutes * 60
    with _Display(tasks) as display:
        while True:
            run = _ask(client, run_id, display.note)
            if run is not None:
                display.show(task_states(run, tasks))
            if run is not None and run.state in ENDS:
                return run
            if time.monotonic() + POLL_SECONDS > deadline:
                raise InputError(f"waited {timeout_minutes:g} minutes; expected the run to end, and it goes on")
            time.sleep(POLL_SECONDS)


def task_states(run: Any, tasks: Mapping[str, str]) -> dict[str, str]:
    """The state of each task that has one, by Kubeflow's name; of a task that was retried, the latest."""
    return {name: detail.state or "PENDING" for name, detail in _known(run, tasks)}


def run_failure(run: Any, tasks: Mapping[str, str]) -> str:
    """A sentence about the first task that failed, with the reason."""
    details = list(run.run_details.task_details or []) if run.run_details else []
    failed = [(name, detail) for name, detail in _known(run, tasks) if detail.state == "FAILED"]
    if not failed:
        return f"the run ended as {run.state}{_error(run) and ': ' + _error(run)}"
    name, detail = failed[0]
    children = [child for child in details if child.parent_task_id == detail.task_id and child.task_id]
    reason = next((text for text in map(_error, (detail, *children, run)) if text), "open its log in the UI")
    return f"the task {name} ({tasks[name]}) failed: {reason}"


def _known(run: Any, tasks: Mapping[str, str]) -> list[tuple[str, Any]]:
    """The details of the pipeline's own tasks: Kubeflow also lists drivers, executors and retries, as ``train(1)``."""
    details = (run.run_details.task_details or []) if run.run_details else []
    named = [(re.sub(r"(-driver)?(\(\d+\))?$", "", detail.display_name or ""), detail) for detail in details]
    # A driver adds nothing to its task, unless it failed before the task was created.
    own = [(name, each) for name, each in named if each.display_name == name or each.state == "FAILED"]
    return [(name, each) for name, each in own if name in tasks]


def _error(subject: Any) -> str:
    return " ".join((subject.error.message or "").split())[:500] if subject.error else ""


def _ask(client: kfp.Client, run_id: str, note: Callable[[str], None]) -> Any:
    """The run, or None where the server can't be reached for now."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        run = client.runs.run_service_get_run(run_id=run_id, _request_timeout=30)
    except ApiException as error:
        if error.status and error.status < 500 and error.status not in _TRANSIENT:
            raise InputError(f"the server no longer tells about the run ({error.status} {error.reason})") from None
        note(f"the server answers {error.status}; trying again")
        return None
    except HTTPError as error:
        note(f"connection lost ({connection_problem(error)}); trying again")
        return None
    note("")
    return run


class _Display:
    """The display while waiting."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._tasks, self._states, self._note = tasks, dict[str, str](), ""
        console = Console()
        self._live = Live(self._table(), console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> _Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, states: Mapping[str, str]) -> None:
        for name, state in states.items():
            if self._states.get(name) != state:
                self._states[name] = state
                self._say(f"{self._tasks[name]}: {state.lower()}")

    def note(self, text: str) -> None:
        """Show a connection problem once, or with an empty text that it is over."""
        if text != self._note:
            self._say(text or "the server answers again")
        self._note = text

    def _say(self, line: str) -> None:
        if self._live is None:
            print(line, flush=True)
        elif line.partition(": ")[0] in self._tasks.values():
            self._live.update(self._table(), refresh=True)
        else:
            self._live.console.print(line)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table("task", "state", box=None)
        for name, title in self._tasks.items():
            state = self._states.get(name, "")
            table.add_row(title, state.lower(), style=_COLOURS.get(state))
        return table
