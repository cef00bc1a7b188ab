"""Evaluation: Dice, distances in millimetres, calibration, the report, comparison and audit."""
