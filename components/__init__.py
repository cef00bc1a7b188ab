"""Kubeflow components, one file each: a few lines around a step of `sss_ops.steps`."""
