"""What a release holds, and a registration with all that it needs."""

from __future__ import annotations

from pathlib import Path

from sss_ops.steps.register import register

MODEL = "sss-phantom"
FILES = {
    *("SHA256SUMS", "approval.json", "audit.txt", "cases.csv", "data_version.json", "manifest.csv", "metrics.json"),
    *("model_card.md", "overlays", "provenance.json", "report.html", "sbom.cdx.json", "summary.json"),
    "validation.html",
}


def register_it(steps: Path, folder: Path, **other: Path) -> None:
    register(
        **{
            "checkpoint": steps / "checkpoint",
            "metrics": steps / "metrics.json",
            "evaluation": steps / "evaluation",
            "validation": steps / "validation/report.html",
            "data_version": steps / "data_version.json",
            "params": steps / "params.yaml",
            "manifest": steps / "manifest.csv",
            "predictions": steps / "predictions",
            "output": folder / "registration.json",
            "card": folder / "model_card.md",
            **other,
        }
    )
