"""Inference: masks of whole volumes, their orientation and their predicted quality."""
