"""The image that runs use by default: the one that the cluster's manifests pin."""

from __future__ import annotations

from pathlib import Path

import yaml

PIN = Path(__file__).parents[1] / "k8s/image/kustomization.yaml"


def pinned_image() -> str:
    """The reference with digest, ``registry/name@sha256:…``, that ``k8s/image`` gives to our image everywhere."""
    (image,) = yaml.safe_load(PIN.read_text(encoding="utf-8"))["images"]
    return f"{image['newName']}@{image['digest']}"
