"""How a run ended, said in one place: the exit handler of the Kubeflow pipeline."""

from pathlib import Path
from typing import Any


def run(*, state: str, task: str, error: str, model: str, mlflow: str, output: Path) -> str:
    """Write a few lines of Markdown on how a run ended.

    Args:
        state: Kubeflow's word for it, such as SUCCEEDED.
        task: Kubeflow's name of what ended.
        error: Kubeflow's reason, empty where there is none.
        model: name of the registered model; empty where the recipe has its own.
        mlflow: address of the tracking server.
        output: the file.

    Returns:
        What was written.
    """
    from sss_model.files import write_atomically

    if state == "SUCCEEDED":
        lines = [
            "# The run succeeded",
            f"The model{f' **{model}**' if model else ''} has a new version in MLflow ({mlflow}), alias `challenger`.",
            "Its card and the report with every test case are outputs of this run.",
        ]
    else:
        lines = [
            f"# The run ended as {state.lower()}",
            f"Reason, from {task}: {error or 'none given'} The first red step's log says more.",
            "A training that was cut off goes on where it was when the same run is started again.",
        ]
    text = "\n\n".join(lines) + "\n"
    write_atomically(output, text.encode())
    return text


def kubeflow_component() -> Any:
    """The exit handler as a Kubeflow component."""
    from kfp import dsl

    @dsl.component(base_image="sss", install_kfp_package=False)
    def report_end(
        status: dsl.PipelineTaskFinalStatus, model_name: str, mlflow: str, summary: dsl.Output[dsl.Markdown]
    ) -> None:
        """Say how the run ended."""
        from pathlib import Path

        from components import report_end

        text = report_end.run(
            state=status.state,
            task=status.pipeline_task_name,
            error=status.error_message or "",
            model=model_name,
            mlflow=mlflow,
            output=Path(summary.path),
        )
        print(text)

    return report_end
