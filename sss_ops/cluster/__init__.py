"""Kubernetes: where pods go, Kubeflow Trainer jobs, the Kubeflow Pipelines server."""
