"""Great Expectations at work: rules over tables."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context import AbstractDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations import UnexpectedRowsExpectation

from sss_ops.data_checks.rule import Group, Outcome, Rule

_RULE = "rule"


def judge(groups: list[Group], tables: dict[str, pd.DataFrame]) -> list[Outcome]:
    """Hold the tables against the rules.

    Expectations about rows look at data frames; those in SQL at the same tables in an SQLite file, where they can join
    them.

    Raises:
        RuntimeError: Great Expectations could not evaluate a rule: a mistake of ours, never the data's.
    """
    rules = [rule for group in groups for rule in group.rules]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    with tempfile.TemporaryDirectory() as folder:
        found = _ask_frames(context, rules, tables) | _ask_database(context, rules, tables, Path(folder) / "tables.db")
    return [
        Outcome(
            group=group.title,
            rule=rule,
            sentences=_sentences(rule, found[rule.name], tables),
            looked_at=_looked_at(found[rule.name]),
            asked=_asked(found[rule.name]),
        )
        for group in groups
        for rule in group.rules
    ]


Results = dict[str, ExpectationValidationResult]


def _ask_frames(context: AbstractDataContext, rules: list[Rule], tables: dict[str, pd.DataFrame]) -> Results:
    source, results = context.data_sources.add_pandas("frames"), Results()
    for name, table in tables.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        asked = [rule for rule in rules if rule.table == name and not _in_sql(rule)]
        results |= _ask(context, f"frame {name}", batch, asked, batch_parameters={"dataframe": table})
    return results


def _ask_database(
    context: AbstractDataContext, rules: list[Rule], tables: dict[str, pd.DataFrame], file: Path
) -> Results:
    with closing(sqlite3.connect(file)) as database:
        for name, table in tables.items():
            table.to_sql(name, database, index=False)
        database.commit()
    source, results = context.data_sources.add_sqlite("database", connection_string=f"sqlite:///{file}"), Results()
    for name in tables:
        batch = source.add_table_asset(name, table_name=name).add_batch_definition_whole_table("whole")
        asked = [rule for rule in rules if rule.table == name and _in_sql(rule)]
        results |= _ask(context, f"database {name}", batch, asked)
    return results


def _ask(
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


def _looked_at(result: ExpectationValidationResult) -> int | None:
    count = result.result.get("element_count")
    return None if count is None else int(count) - int(result.result.get("missing_count") or 0)


def _asked(result: ExpectationValidationResult) -> str:
    config = result.expectation_config
    if config is None:
        return ""
    if query := config.kwargs.get("unexpected_rows_query"):
        return " ".join(str(query).split())
    arguments = {key: value for key, value in config.kwargs.items() if key != "batch_id" and value is not None}
    return f"{config.type}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
