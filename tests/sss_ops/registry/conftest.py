"""A registry to decide about, and a clock to set forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import mlflow
import pytest
from support.registry import fill

from sss_ops.registry import lock


@pytest.fixture
def registry(store: mlflow.MlflowClient) -> mlflow.MlflowClient:
    """Four versions of a model, the first of them champion."""
    fill(store)
    return store


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the lock's clocks forward."""
    ahead = [0.0]
    clock = SimpleNamespace(
        time=lambda: time.time() + ahead[0], monotonic=lambda: time.monotonic() + ahead[0], sleep=time.sleep
    )
    monkeypatch.setattr(lock, "time", clock)

    def forward(seconds: float) -> None:
        ahead[0] += seconds

    return forward
