"""Write a pushed image's reference, NAME@sha256:… on stdin, into k8s/image, where overlays and pipeline find it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

PIN = Path("k8s/image/kustomization.yaml")


def main() -> None:
    reference = sys.stdin.read().strip()
    if not (parts := re.fullmatch(r"(\S+)@(sha256:[0-9a-f]{64})", reference)):
        sys.exit(f"error: {reference!r}; expected REGISTRY/NAME@sha256:…, the digest of one pushed image")
    yaml = YAML()  # keeps the comments
    yaml.width = 200
    yaml.indent(sequence=4, offset=2)
    pin = yaml.load(PIN)
    (image,) = [image for image in pin["images"] if image["name"] == "sss"]
    image["newName"], image["digest"] = parts.groups()
    yaml.dump(pin, PIN)
    print(f"pinned:  {PIN}")


if __name__ == "__main__":
    main()
