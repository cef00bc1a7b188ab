"""Apply the rules to a target, and print the results as a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from k8s.check.objects import Fault, Target
from k8s.check.rules import RULES, Rule
from k8s.check.schemas import VERSIONS, has_shape, versions


@dataclass(frozen=True)
class Result:
    """The faults of a target, each with its rule."""

    target: Target
    faults: list[tuple[Rule, Fault]]

    def lines(self) -> list[str]:
        return [
            f"{self.target.name}: {fault.owner}: {fault.found}; expected {fault.expected} [{rule.__name__}]"
            for rule, fault in self.faults
        ]


def check_target(target: Target) -> Result:
    """Apply every rule; where the schema is broken, the other rules, which rely on it, are skipped."""
    for rules in (RULES[:1], RULES[1:]):
        faults = [(rule, fault) for rule in rules for fault in rule(target)]
        if faults:
            return Result(target, faults)
    return Result(target, [])


def print_results(results: list[Result], console: Console) -> None:
    """A row per target: its objects, how many each Kubernetes version or our own shapes validated, its faults."""
    headings = ("checked", "objects", *VERSIONS, "shapes", "faults")
    table = Table(*(Column(heading, no_wrap=True) for heading in headings), box=SIMPLE_HEAD)
    for result in results:
        objects = result.target.objects
        judged = [sum(version in versions(each) for each in objects) for version in VERSIONS]
        counts = (len(objects), *judged, sum(map(has_shape, objects)), len(result.faults))
        table.add_row(result.target.name, *map(str, counts))
    console.print(table)
    console.print(f"judged by the strict schemas of Kubernetes {' and '.join(VERSIONS)}, or by k8s/check/shapes")
    console.print("rules: " + ", ".join(rule.__name__ for rule in RULES))


def placeholders(root: Path) -> list[str]:
    """Values that users must fill in: the image before its first push, and values called REPLACE."""
    notes = []
    if re.search(r"sha256:0{64}", (root / "image" / "kustomization.yaml").read_text()):
        notes.append("k8s/image: no image is pinned yet; `make push` writes its name and digest")
    for file in sorted([*root.glob("overlays/*/*.yaml"), *root.glob("gpu-pools/*/*.yaml")]):
        if count := len(re.findall(r"^[^#\n]*REPLACE", file.read_text(), flags=re.MULTILINE)):
            notes.append(f"k8s/{file.relative_to(root)}: {count} value(s) called REPLACE are yours to fill in")
    return notes
