"""The data checks' page: written by hand but for its tables of rules."""

from __future__ import annotations

from pathlib import Path

from sss_model.config import Config, load_config

_PAGE = Path(__file__).with_name("data-checks.md")
_RECIPE = Path(__file__).parents[2] / "configs/phantom.yaml"
_FROM, _TO = "<!-- rules, written by python -m docs.reference -->", "<!-- end of rules -->"


def data_checks_page() -> str:
    """The page as it is, with its tables as the code has the rules."""
    before, rest = _PAGE.read_text().split(_FROM)
    after = rest.split(_TO)[1]
    return before + "\n\n".join([_FROM, rules_tables(load_config(_RECIPE)), _TO]) + after


def rules_tables(config: Config) -> str:
    """Markdown: a heading and a table for each group of rules that the recipe asks for."""
    # Great Expectations takes seconds to import.
    from sss_ops.data_checks.rules import rules_for

    tables = []
    for group in rules_for(config):
        lines = [
            f"### {group.title}",
            "",
            "| rule | what must hold | threshold in `data_checks` | fix |",
            "|---|---|---|---|",
        ]
        for rule in group.rules:
            threshold = f"`{rule.threshold}`" if rule.threshold else ""
            lines.append(f"| `{rule.name}` | {rule.title} | {threshold} | {rule.fix} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)
