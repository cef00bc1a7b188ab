"""The data checks as a Kubeflow component.

It succeeds whatever the checks find: Kubeflow keeps no artifact of a task that fails, and then the report is needed
most. The training refuses data that did not pass.
"""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="sss", install_kfp_package=False)
def validate_splits(
    data: dsl.Input[dsl.Dataset],
    manifest: dsl.Input[dsl.Dataset],
    recipe: str,
    data_version: str,
    image: str,
    report: dsl.Output[dsl.HTML],
) -> NamedTuple("Checked", [("passed", bool)]):  # type: ignore[valid-type]
    """Check that the data can be trusted, and report."""
    from pathlib import Path

    from sss_ops.cluster.pod import in_pod, recipe_file
    from sss_ops.steps.validate_splits import DataChecksFailedError, validate_splits

    folder = Path(data.path, data.metadata["name"])
    with in_pod(image=image), recipe_file(recipe) as params:
        try:
            validate_splits(data_dir=folder, manifest=Path(manifest.path), params=params, report=Path(report.path))
        except DataChecksFailedError as failure:
            print(failure)
            return (False,)
    return (True,)
