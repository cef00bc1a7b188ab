"""The pipelines' command line: ``python -m pipelines``."""

from __future__ import annotations

from pipelines import cluster_check, compile, local, submit
from sss_ops.command_line import new_app, run_app

app = new_app(help="The training pipeline: compile it, run it on this machine, submit it to Kubeflow.")
app.command("compile")(compile.command)
app.command("run")(local.command)
app.command("submit")(submit.command)
app.command("cluster-check")(cluster_check.command)

if __name__ == "__main__":
    run_app(app)
