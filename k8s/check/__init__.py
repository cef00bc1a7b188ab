"""Strict checks of the manifests without a cluster: `python -m k8s.check` renders, validates and asserts.

A rule is a function from a target to its faults, one idea each, in `rules/`.
"""
