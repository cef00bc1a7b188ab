"""Checks of the manifests without a cluster: `python -m k8s.check` renders, validates and applies this project's rules.

A rule is a function from a target to its faults, in `rules/`.
"""
