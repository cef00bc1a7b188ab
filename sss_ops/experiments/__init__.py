"""Experiments: trainings repeated over seeds, methods and label budgets."""
