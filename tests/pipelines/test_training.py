"""The training pipeline: its compiled files, its tasks, and defaults that fit our overlays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from support.paths import ROOT

from k8s.check.targets import read_target
from pipelines.compile import compile_pipeline
from pipelines.training import pinned_image, training
from sss_ops.cluster import pod
from tests.pipelines.conftest import IMAGE


def test_the_manifests_are_a_pipeline_and_its_version(compiled: list[Path]) -> None:
    pipeline, version = yaml.safe_load_all(compiled[1].read_text())
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert {found["apiVersion"] for found in (pipeline, version)} == {"pipelines.kubeflow.org/v2beta1"}
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    assert version["spec"]["pipelineSpec"]["pipelineInfo"]["name"] == "sss-training"
    assert version["spec"]["platformSpec"]["platforms"]["kubernetes"]


def test_a_version_is_named_after_its_content(compiled: list[Path], tmp_path: Path) -> None:
    def name(paths: list[Path]) -> str:
        return list(yaml.safe_load_all(paths[1].read_text()))[1]["metadata"]["name"]

    assert name(compile_pipeline(tmp_path / "same", image=IMAGE)) == name(compiled)
    assert name(compile_pipeline(tmp_path / "other", image=IMAGE[:-1] + "2")) != name(compiled)


def test_without_an_image_the_form_takes_the_one_that_the_cluster_s_manifests_pin(tmp_path: Path) -> None:
    package, _ = compile_pipeline(tmp_path)
    specification = next(yaml.safe_load_all(package.read_text()))
    assert specification["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"] == pinned_image()


def test_the_command_line_says_what_it_wrote(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "compile", "--output", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "sss-training.yaml"), str(tmp_path / "sss-training.k8s.yaml")]


STEPS = ["version-data", "validate-splits", "train", "evaluate", "register"]
Tasks = dict[str, dict[str, Any]]


def test_five_steps_and_one_that_says_how_it_ended(tasks: Tasks) -> None:
    assert tasks.keys() == {*STEPS, "report-end"}
    assert tasks["report-end"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_every_parameter_has_a_description_and_a_default(specification: dict[str, Any]) -> None:
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert len(parameters) == 22
    for name, parameter in parameters.items():
        assert len(parameter["description"]) > 10, name
        assert "defaultValue" in parameter, name


def test_names_on_the_screen_read_as_prose(specification: dict[str, Any], compiled: list[Path]) -> None:
    text = compiled[0].read_text()
    for name in ("Fetch one version of the scans", "Train on labelled and unlabelled scans", "Say how the run ended"):
        assert f"name: {name}" in text
    assert specification["pipelineInfo"]["displayName"].startswith("SSS")


@pytest.mark.parametrize("step", STEPS)
def test_the_image_is_a_parameter_of_every_step_and_part_of_its_cache_key(tasks: Tasks, step: str) -> None:
    inputs = tasks[step]["inputs"]["parameters"]
    assert inputs["image"] == inputs["pipelinechannel--image"] == {"componentInputParameter": "pipelinechannel--image"}
    assert tasks[step]["cachingOptions"] == {"enableCache": True}


@pytest.mark.parametrize("step", STEPS[1:])
def test_what_files_hold_is_part_of_the_cache_key(tasks: Tasks, step: str) -> None:
    inputs = tasks[step]["inputs"]["parameters"]
    assert inputs["data_version"]["taskOutputParameter"]["outputParameterKey"] == "version"
    if step in ("evaluate", "register"):
        assert inputs["checkpoint_sha256"]["taskOutputParameter"]["producerTask"] == "train"
    if step != "evaluate":
        assert inputs["recipe"]["taskOutputParameter"]["outputParameterKey"] == "settled_recipe"


def test_nothing_is_installed_at_run_time(compiled: list[Path]) -> None:
    assert "pip install" not in compiled[0].read_text()


def test_the_training_s_place_comes_from_the_first_step(
    specification: dict[str, Any], tasks: Tasks, on_kubernetes: Tasks
) -> None:
    settled = {"accelerator", "accelerator_count", "node_selector", "tolerations", "cpu", "memory", "trainer"}
    assert settled <= specification["components"]["comp-version-data"]["outputDefinitions"]["parameters"].keys()
    resources = specification["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    placeholders = re.findall(r"pipelinechannel--version-data-(\w+)", json.dumps(resources))
    assert set(placeholders) == {"accelerator", "accelerator_count", "cpu", "memory"}
    train = on_kubernetes["exec-train"]
    selector = train["nodeSelector"]["nodeSelectorJson"]["taskOutputParameter"]
    assert selector == {"producerTask": "version-data", "outputParameterKey": "node_selector"}
    (toleration,) = train["tolerations"]
    assert toleration["tolerationJson"]["taskOutputParameter"]["outputParameterKey"] == "tolerations"
    assert "nvidia" not in json.dumps([resources, train]), "no GPU is asked for where none was chosen"


def test_the_training_finds_its_state_where_it_left_it(on_kubernetes: Tasks) -> None:
    train = on_kubernetes["exec-train"]
    assert train["pvcMount"] == [{"constant": "sss-work", "mountPath": "/sss/work", "pvcNameParameter": ANY_CLAIM}]
    assert train["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert train["emptyDirMounts"][0]["medium"] == "Memory"


@pytest.mark.parametrize(("step", "times"), [("train", 5), ("evaluate", 3), ("register", 3)])
def test_a_step_is_tried_again_for_as_long_as_it_may_run(
    tasks: Tasks, on_kubernetes: Tasks, step: str, times: int
) -> None:
    policy, deadline = tasks[step]["retryPolicy"], int(on_kubernetes[f"exec-{step}"]["activeDeadlineSeconds"])
    assert policy["maxRetryCount"] == times
    # Argo takes it for the time of all tries, and ends a running one that passes it.
    assert policy["backoffMaxDuration"] == f"{deadline}s"
    # Argo reads the factor as a whole number.
    pauses = [int(policy["backoffDuration"].rstrip("s")) * int(policy["backoffFactor"]) ** n for n in range(times)]
    assert sum(pauses) <= 310, "errors of input are repeated too"


ANY_CLAIM = {"runtimeValue": {"constant": "sss-work"}}


def test_no_task_is_root_or_endless(on_kubernetes: Tasks) -> None:
    assert len(on_kubernetes) == 6
    for executor in on_kubernetes.values():
        assert executor["securityContext"] == {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
        assert int(executor["activeDeadlineSeconds"]) > 0


def test_secrets_go_by_reference_and_may_be_absent(on_kubernetes: Tasks, compiled: list[Path]) -> None:
    for executor in ("exec-version-data", "exec-train"):
        (secret,) = on_kubernetes[executor]["secretAsEnv"]
        assert secret["secretName"] == "sss-s3" and secret["optional"]
        assert {key["envVar"] for key in secret["keyToEnv"]} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert not re.search(r"(?i)(password|secret_access_key)['\"]?\s*[:=]\s*['\"]?\w{8}", compiled[0].read_text())


def test_the_image_of_the_form_is_the_one_that_was_given(specification: dict[str, Any]) -> None:
    assert specification["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"] == IMAGE


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
