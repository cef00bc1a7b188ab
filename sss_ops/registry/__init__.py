"""Versions of a model in MLflow: which one is served, who decided so, and on what evidence."""
