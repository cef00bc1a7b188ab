"""The exit handler as a Kubeflow component."""

from kfp import dsl


@dsl.component(base_image="sss", install_kfp_package=False)
def report_end(
    status: dsl.PipelineTaskFinalStatus, model_name: str, mlflow: str, summary: dsl.Output[dsl.Markdown]
) -> None:
    """Say how the run ended."""
    from pathlib import Path

    from sss_ops.steps.report_end import report_end

    error = status.error_message or ""
    ended = {"state": status.state, "task": status.pipeline_task_name, "error": error}
    print(report_end(**ended, model=model_name, mlflow=mlflow, output=Path(summary.path)))
