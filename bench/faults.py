"""The data gate against planted faults: which rule finds what.

python -m bench.faults
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_ops.command_line import run_command

if TYPE_CHECKING:
    from tests.support.planted_cohort import Cohort


def command(
    recipe: Annotated[Path, typer.Option(help="Whose thresholds hold.")] = Path("configs/phantom.yaml"),
    patients: Annotated[int, typer.Option(help="How many the cohort has.")] = 10,
) -> None:
    """Plant each fault in a good phantom cohort and print the rules that fail, and what they say.

    Exit code 1 where they aren't those expected.

    Example: python -m bench.faults
    """
    from sss_model.config import load_config
    from sss_model.data.manifest import build_manifest
    from sss_model.data.phantom import write_phantom
    from tests.support.planted_cohort import Cohort
    from tests.support.planted_faults import FAULTS

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantom(folder / "good", patients=patients)
        good = Cohort(folder / "good", build_manifest(folder / "good"), load_config(recipe))
        print("| fault | rules that fail | what the first one says |\n|---|---|---|")
        right = int(_print_row("none", (), failed_rules(good), folder))
        for number, fault in enumerate(FAULTS):
            cohort = good.copied(folder / str(number) / "phantom")
            fault.plant(cohort)
            right += _print_row(fault.words, fault.rules, failed_rules(cohort), cohort.folder)
    print(json.dumps({"cohorts": 1 + len(FAULTS), "as_expected": right}))
    if right <= len(FAULTS):
        raise typer.Exit(1)


def failed_rules(cohort: Cohort) -> dict[str, list[str]]:
    """What the gate says of a cohort: rules that don't hold, and their sentences."""
    from sss_ops.data_checks.evidence import gather
    from sss_ops.data_checks.judge import judge
    from sss_ops.data_checks.rules import rules_for
    from sss_ops.data_checks.tables import make_tables

    evidence = gather(cohort.manifest, cohort.config, cohort.folder)
    outcomes = judge(rules_for(cohort.config), make_tables(evidence))
    return {outcome.rule.name: outcome.sentences for outcome in outcomes if outcome.sentences}


def _print_row(words: str, expected: tuple[str, ...], found: dict[str, list[str]], folder: Path) -> bool:
    """Returns whether the rules that failed are those expected."""
    right = set(found) == set(expected)
    names = ", ".join(found) or "none"
    first = next((sentences[0].replace(f"{folder}/", "") for sentences in found.values()), "")
    print(f"| {words} | {names}{'' if right else f' (expected {expected})'} | {first} |", flush=True)
    return right


if __name__ == "__main__":
    run_command(command)
