"""The same from a real MLflow server, which keeps the artifacts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest
from support.release import FILES, MODEL, register_it
from support.tracking_server import tracking_server

from sss_model.errors import InputError
from sss_ops.registry.evidence import EVIDENCE_TAG, audit_version, evidence_place
from sss_ops.registry.release import write_release
from sss_ops.registry.versions import version_at
from sss_ops.tracking.store import tracking_client


def test_a_version_is_audited_and_released_from_the_server_alone(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "artifacts"
    with tracking_server(tmp_path, artifacts=str(stored)) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://localhost:{port}")
        steps = Path(shutil.copytree(evaluated, tmp_path / "steps"))
        register_it(steps, tmp_path)
        shutil.rmtree(steps)
        client = tracking_client()
        version = version_at(client, f"models:/{MODEL}@challenger")
        assert version_at(client, str(version.run_id)).version == version.version
        assert audit_version(client, version).findings == []
        write_release(client, version, tmp_path / "out")
        assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
        assert json.loads((tmp_path / "out/approval.json").read_text())["status"] == "not approved"

        (kept,) = stored.rglob(evidence_place(version.tags[EVIDENCE_TAG]))
        mask = next((kept / "predictions").iterdir())
        mask.write_bytes(mask.read_bytes() + b"\n")
        (finding,) = audit_version(client, version).findings
        assert finding.startswith(f"predictions/{mask.name}: changed, SHA-256 ")
        with pytest.raises(InputError, match=f"is not released: predictions/{mask.name}: changed"):
            write_release(client, version, tmp_path / "another")
        shutil.rmtree(kept)
        with pytest.raises(InputError, match=r"evidence/[0-9a-f]{16}; expected what `sss register` kept there"):
            audit_version(client, version)
        assert not list(tmp_path.glob("*another*"))
    assert mlflow.get_tracking_uri().startswith("http")
