"""The five steps of the pipeline, each command and function at once, and the report of how a run ended."""
