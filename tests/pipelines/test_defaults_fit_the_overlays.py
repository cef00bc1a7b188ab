"""*Create run*, untouched, finds what our overlays put into the cluster."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from support.code_graph import ROOT

from k8s.check.targets import read_target
from pipelines.training import pinned_image, training
from sss_ops.cluster import pod

OVERLAYS = sorted(path.name for path in (ROOT / "k8s/overlays").iterdir())
DEFAULTS: dict[str, Any] = {name: spec.default for name, spec in training.component_spec.inputs.items()}


def objects(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    rendered = read_target(ROOT / "k8s", f"overlays/{overlay}").objects
    return {each.name: each.document for each in rendered if each.kind == kind}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_tracking_server_is_where_the_form_says(overlay: str) -> None:
    address = urlsplit(DEFAULTS["mlflow"])
    service = objects(overlay, "Service")[address.hostname]
    assert address.port in [port["port"] for port in service["spec"]["ports"]]
    (server,) = objects(overlay, "Deployment")[address.hostname]["spec"]["template"]["spec"]["containers"]
    assert address.netloc in " ".join(server["args"]), "the server takes requests under this name"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_volume_the_addresses_and_the_image_are_there(overlay: str) -> None:
    assert pod.WORK_VOLUME in objects(overlay, "PersistentVolumeClaim")
    assert DEFAULTS["work"] == pod.WORK_MOUNT
    assert objects(overlay, "ConfigMap")[pod.OBJECT_STORE]["data"].keys() <= {
        *pod.OBJECT_STORE_SETTINGS, "MLFLOW_ARTIFACTS_DESTINATION",
    }  # fmt: skip
    (server,) = objects(overlay, "Deployment")["sss-mlflow"]["spec"]["template"]["spec"]["containers"]
    assert server["image"] == DEFAULTS["image"] == pinned_image()


def test_the_data_remote_s_bucket_is_made() -> None:
    job = objects("local", "Job")["sss-buckets"]
    assert (
        f'"{urlsplit(DEFAULTS["data_remote"]).netloc}"' in job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    )


def test_the_secret_has_the_keys_that_the_tasks_read() -> None:
    template = {
        each["metadata"]["name"]: each for each in yaml.safe_load_all((ROOT / "k8s/secrets/template.yaml").open())
    }
    assert set(pod.OBJECT_STORE_SECRETS) <= template[pod.OBJECT_STORE]["stringData"].keys()
