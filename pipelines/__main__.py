"""The pipelines' command line: ``python -m pipelines``."""

from __future__ import annotations

from pipelines.cluster_check import cluster_check_command
from pipelines.compile import compile_command
from pipelines.local import local_command
from pipelines.submit import submit_command
from sss_ops.command_line import new_app, run_app

app = new_app(help="The training pipeline: compile it, run it on this machine, submit it to Kubeflow.")
app.command("compile")(compile_command)
app.command("run")(local_command)
app.command("submit")(submit_command)
app.command("cluster-check")(cluster_check_command)

if __name__ == "__main__":
    run_app(app)
