from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cluster import FakeCluster


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """An empty cluster that this process, and those it starts, find; they are the pod ``launcher`` in it."""
    cluster = FakeCluster()
    for name in ("KUBERNETES_SERVICE_HOST", "KFP_NAMESPACE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KFP_POD_NAME", "launcher")
    monkeypatch.setenv("KFP_POD_UID", "uid-launcher")
    with cluster.serve(tmp_path / "kubeconfig"):
        yield cluster
