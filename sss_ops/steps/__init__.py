"""The five steps of the pipeline, and the one that reports how a run ended."""
