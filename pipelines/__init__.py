"""Wiring only: the training pipeline, and compiling, submitting and running it on this machine."""
