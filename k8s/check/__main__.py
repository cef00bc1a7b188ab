"""`python -m k8s.check [FILE ...]`: exit code 0 without faults, 1 with a line per fault, 2 for unreadable input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from k8s.check.report import check_target, placeholders, print_results
from k8s.check.targets import read_target, target_names
from sss_ops.command_line import run_command


def check_manifests(
    files: Annotated[list[Path] | None, typer.Argument(help="further manifests, as compiled", exists=True)] = None,
    root: Annotated[Path, typer.Option(help="the folder of the overlays")] = Path(__file__).parents[1],
) -> None:
    """Render every overlay and GPU pool, validate the objects strictly, and apply this project's rules."""
    console = Console(soft_wrap=True)
    names = [*target_names(root), *(str(file.absolute()) for file in files or [])]
    results = [check_target(read_target(root, name)) for name in names]
    print_results(results, console)
    for note in placeholders(root):
        console.print(f"warning: {note}", style="yellow", highlight=False, markup=False)
    lines = [line for result in results for line in result.lines()]
    for line in lines:
        console.print(f"fault: {line}", style="red", highlight=False, markup=False)
    console.print(f"{len(results)} checked, {len(lines)} faults", style="red" if lines else "green")
    if lines:
        raise SystemExit(1)


if __name__ == "__main__":
    run_command(check_manifests)
