from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from pipelines.compile import compile_pipeline
from pipelines.training import pinned_image
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
