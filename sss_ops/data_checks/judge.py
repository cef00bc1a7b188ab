"""Run the data checks: rules over tables, by Great Expectations."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import great_expectations as gx
import pandas as pd
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context import AbstractDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations import UnexpectedRowsExpectation

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_ops.data_checks.evidence import DataEvidence, gather
from sss_ops.data_checks.rule import Group, Outcome, Rule
from sss_ops.data_checks.rules import rules_for
from sss_ops.data_checks.tables import make_tables

_RULE = "rule"


class Checked(NamedTuple):
    """A data set's evidence, and the outcome of each rule."""

    evidence: DataEvidence
    outcomes: list[Outcome]

    @property
    def sentences(self) -> list[str]:
        """A sentence for every row that fails; none where the data pass."""
        return [sentence for outcome in self.outcomes for sentence in outcome.sentences]


def check_data(manifest: Manifest, config: Config, data_dir: Path) -> Checked:
    """Read every volume of a data set and judge it by the rules that the recipe asks for."""
    evidence = gather(manifest, config, data_dir)
    return Checked(evidence, apply_rules(rules_for(config), make_tables(evidence)))


def apply_rules(groups: list[Group], tables: dict[str, pd.DataFrame]) -> list[Outcome]:
    """Judge tables by rules.

    Expectations about rows run on the data frames; those in SQL on the same tables in an SQLite file, where they can
    join them.

    Raises:
        RuntimeError: Great Expectations could not evaluate a rule: a bug, not a fault of the data.
    """
    rules = [rule for group in groups for rule in group.rules]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    with tempfile.TemporaryDirectory() as folder:
        found = _run_frames(context, rules, tables) | _run_database(context, rules, tables, Path(folder) / "tables.db")
    return [
        Outcome(
            group=group.title,
            rule=rule,
            sentences=_sentences(rule, found[rule.name], tables),
            checked=_checked(found[rule.name]),
            query=_query(found[rule.name]),
        )
        for group in groups
        for rule in group.rules
    ]


Results = dict[str, ExpectationValidationResult]


def _run_frames(context: AbstractDataContext, rules: list[Rule], tables: dict[str, pd.DataFrame]) -> Results:
    source, results = context.data_sources.add_pandas("frames"), Results()
    for name, table in tables.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        chosen = [rule for rule in rules if rule.table == name and not _in_sql(rule)]
        results |= _run(context, f"frame {name}", batch, chosen, batch_parameters={"dataframe": table})
    return results


def _run_database(
    context: AbstractDataContext, rules: list[Rule], tables: dict[str, pd.DataFrame], file: Path
) -> Results:
    with closing(sqlite3.connect(file)) as database:
        for name, table in tables.items():
            table.to_sql(name, database, index=False)
        database.commit()
    source, results = context.data_sources.add_sqlite("database", connection_string=f"sqlite:///{file}"), Results()
    for name in tables:
        batch = source.add_table_asset(name, table_name=name).add_batch_definition_whole_table("whole")
        chosen = [rule for rule in rules if rule.table == name and _in_sql(rule)]
        results |= _run(context, f"database {name}", batch, chosen)
    return results


def _run(
    context: AbstractDataContext, name: str, batch: BatchDefinition[Any], rules: list[Rule], **parameters: Any
) -> Results:
    if not rules:
        return {}
    suite = context.suites.add(gx.ExpectationSuite(name))
    for rule in rules:
        expectation = rule.expectation.copy()
        expectation.meta, expectation.description = {_RULE: rule.name}, rule.title
        suite.add_expectation(expectation)
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    validated = definition.run(result_format={"result_format": "COMPLETE"}, **parameters)
    return {_name(result): _evaluated(result) for result in validated.results}


def _in_sql(rule: Rule) -> bool:
    return isinstance(rule.expectation, UnexpectedRowsExpectation)


def _name(result: ExpectationValidationResult) -> str:
    meta = result.expectation_config.meta if result.expectation_config else None
    return str((meta or {})[_RULE])


def _evaluated(result: ExpectationValidationResult) -> ExpectationValidationResult:
    if not result.success and not result.result:
        raise RuntimeError(f"{_name(result)}: {result.exception_info}")
    return result


def _sentences(rule: Rule, result: ExpectationValidationResult, tables: dict[str, pd.DataFrame]) -> list[str]:
    if result.success:
        return []
    rows: Iterable[dict[str, Any]] = (
        result.result["details"]["unexpected_rows"]
        if _in_sql(rule)
        else [tables[rule.table].loc[index].to_dict() for index in result.result["unexpected_index_list"]]
    )
    return [rule.sentence.format_map(row) for row in rows]


def _checked(result: ExpectationValidationResult) -> int | None:
    count = result.result.get("element_count")
    return None if count is None else int(count) - int(result.result.get("missing_count") or 0)


def _query(result: ExpectationValidationResult) -> str:
    config = result.expectation_config
    if config is None:
        return ""
    if query := config.kwargs.get("unexpected_rows_query"):
        return " ".join(str(query).split())
    arguments = {key: value for key, value in config.kwargs.items() if key != "batch_id" and value is not None}
    return f"{config.type}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
