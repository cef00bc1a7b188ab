"""Correcting pseudo-labels: their command lines, and the gate before new labels."""
