"""The training pipeline, and its command line: compile it, run it on this machine, submit it, check a cluster."""
