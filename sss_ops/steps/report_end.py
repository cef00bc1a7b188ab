"""The last step of a Kubeflow run: a few lines of Markdown on how it ended."""

from pathlib import Path

from sss_model.files import write_atomically


def report_end(*, state: str, task: str, error: str, model: str, mlflow: str, output: Path) -> str:
    """Write how a run ended, in a few lines of Markdown.

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
    if state == "SUCCEEDED":
        lines = [
            "# The run succeeded",
            f"The model{f' **{model}**' if model else ''} has a new version in MLflow ({mlflow}), alias `challenger`.",
            "Its card and the report with every test case are outputs of this run.",
        ]
    else:
        lines = [
            f"# The run ended as {state.lower()}",
            f"Reason, from {task}: {error or 'none given.'} The first red step's log says more.",
            "A training that was cut off goes on where it was when the same run is started again.",
        ]
    text = "\n\n".join(lines) + "\n"
    write_atomically(output, text.encode())
    return text
