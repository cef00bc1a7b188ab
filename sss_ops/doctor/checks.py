"""Results of checks, and many checks at once without waiting for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Literal

from sss_model.errors import InputError

LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class CheckResult:
    """One finding.

    Attributes:
        state: green is well, yellow works less well than it could, red must be mended, grey is not configured.
        found: what was found.
        fix: what to do about red or yellow, one sentence.
    """

    name: str
    state: Literal["green", "yellow", "red", "grey"]
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


Check = Callable[[], list[CheckResult]]


def not_configured(name: str, how: str) -> CheckResult:
    return CheckResult(name, "grey", f"not configured ({how})")


def run_checks(local: Mapping[str, Check], remote: Mapping[str, Check]) -> list[CheckResult]:
    """Run checks of this machine one after the other, and meanwhile those that wait for a network, all at once.

    A check that breaks is a red line, and so is one that still hangs `LIMIT_SECONDS` after the local ones are done.
    """
    started = {name: _start(name, check) for name, check in remote.items()}
    lines = [line for name, check in local.items() for line in _run(name, check)]
    deadline = time.monotonic() + LIMIT_SECONDS
    for name, future in started.items():
        try:
            lines += future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            lines.append(CheckResult(name, "red", f"no result in {LIMIT_SECONDS:g} s", "check the network in between"))
    return lines


def _start(name: str, check: Check) -> Future[list[CheckResult]]:
    future: Future[list[CheckResult]] = Future()
    # A daemon, which the process does not wait for at its end; an executor's threads would hold it.
    threading.Thread(target=lambda: future.set_result(_run(name, check)), daemon=True).start()
    return future


def _run(name: str, check: Check) -> list[CheckResult]:
    try:
        return check()
    except InputError as error:
        found, _, expected = str(error).partition("; ")
        return [CheckResult(name, "red", found, expected)]
    except Exception as error:  # a doctor reports what it stumbles over, and goes on with the next check
        reason = " ".join(str(error).split())[:300]
        return [CheckResult(name, "red", f"{type(error).__name__}: {reason}", "run `make setup`, or report it")]
