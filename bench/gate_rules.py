"""The data gate's rules as the table of docs/reference/data-checks.md.

python -m bench.gate_rules
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_ops.command_line import run_command

if TYPE_CHECKING:
    from sss_model.config import Config


def command(
    recipe: Annotated[Path, typer.Option(help="Whose thresholds hold.")] = Path("configs/phantom.yaml"),
) -> None:
    """Print every rule with its threshold and the way out.

    Example: python -m bench.gate_rules
    """
    from sss_model.config import load_config

    lines = rules_table(load_config(recipe))
    print("\n".join(lines))
    print(json.dumps({"rules": sum(line.startswith("| `") for line in lines)}))


def rules_table(config: Config) -> list[str]:
    """Markdown, a table for each group."""
    from sss_ops.data_checks.rules import rules_for

    lines = []
    for group in rules_for(config):
        lines += ["", f"### {group.title}", "", "| rule | what must hold | threshold in `data_checks` | way out |"]
        lines += ["|---|---|---|---|"]
        for rule in group.rules:
            threshold = f"`{rule.threshold}`" if rule.threshold else ""
            lines.append(f"| `{rule.name}` | {rule.title} | {threshold} | {rule.way_out} |")
    return lines[1:]


if __name__ == "__main__":
    run_command(command)
