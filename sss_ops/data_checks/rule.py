"""Building blocks of the data checks: rules, their groups and outcomes, and the expectations they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from great_expectations.expectations import (
    ExpectColumnPairValuesToBeEqual,
    ExpectColumnValuesToBeBetween,
    ExpectColumnValuesToBeNull,
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.expectation import Expectation


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of a data set: an expectation of Great Expectations, in words.

    Attributes:
        name: unique, to search a report for.
        title: what must hold, for a clinician.
        table: the table that is checked (see `make_tables`); SQL may use the others, too.
        expectation: the check itself.
        sentence: the message for a row that fails, with the row's columns in braces.
        fix: what to do then.
        threshold: the key that moves it in the recipe's section ``data_checks``; empty where nothing does.
    """

    name: str
    title: str
    table: str
    expectation: Expectation
    sentence: str
    fix: str
    threshold: str = ""


@dataclass(frozen=True)
class Group:
    """Rules about one subject, in the order of a report."""

    title: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a rule.

    Attributes:
        group: its group's title.
        sentences: one for each row that fails; none where the rule holds.
        checked: how many rows were checked; None for SQL, which doesn't say.
        query: the expectation's type and arguments, or the SQL.
    """

    group: str
    rule: Rule
    sentences: list[str]
    checked: int | None
    query: str


def between(column: str, **limits: Any) -> Expectation:
    """Every value, where there is one, lies within `limits`: min_value, max_value, strict_min, strict_max."""
    return ExpectColumnValuesToBeBetween(column=column, **limits)


def nothing_in(column: str) -> Expectation:
    """The column, which names a problem where there is one, is empty."""
    return ExpectColumnValuesToBeNull(column=column)


def same(one: str, other: str) -> Expectation:
    """Two columns agree wherever both have a value."""
    return ExpectColumnPairValuesToBeEqual(column_A=one, column_B=other, ignore_row_if="either_value_is_missing")


def no_row_of(query: str) -> Expectation:
    """An SQL query on ``{batch}``, and on the other tables by name, finds nothing."""
    return UnexpectedRowsExpectation(unexpected_rows_query=query)
