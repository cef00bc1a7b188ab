"""One thing that must hold of a data set, and what came of it."""

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
    """An expectation of Great Expectations, in words.

    Attributes:
        name: unique, what a report's reader can search for.
        title: what must hold, for a clinician.
        table: the table that it looks at (see `tables`); one with SQL looks at the others, too.
        expectation: what Great Expectations is asked.
        sentence: what is said of a row that it finds, with the row's columns in braces.
        way_out: what to do then.
        threshold: the key of the recipe that moves it, without ``validation.``; none where nothing does.
    """

    name: str
    title: str
    table: str
    expectation: Expectation
    sentence: str
    way_out: str
    threshold: str = ""


@dataclass(frozen=True)
class Group:
    """Rules about one subject, in the order of a report."""

    title: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations made of a rule.

    Attributes:
        group: its group's title.
        sentences: one for each row that it found; none where the rule holds.
        looked_at: how many rows it looked at; None for SQL, which doesn't say.
        asked: the expectation's type and arguments, or the SQL.
    """

    group: str
    rule: Rule
    sentences: list[str]
    looked_at: int | None
    asked: str


def between(column: str, **limits: Any) -> Expectation:
    """Every value that there is lies within `limits`: min_value, max_value, strict_min, strict_max."""
    return ExpectColumnValuesToBeBetween(column=column, **limits)


def nothing_in(column: str) -> Expectation:
    """The column, which holds what is wrong, is empty."""
    return ExpectColumnValuesToBeNull(column=column)


def same(one: str, other: str) -> Expectation:
    """Two columns agree wherever both have a value."""
    return ExpectColumnPairValuesToBeEqual(column_A=one, column_B=other, ignore_row_if="either_value_is_missing")


def no_row_of(query: str) -> Expectation:
    """An SQL query on ``{batch}``, and on the other tables by name, finds nothing."""
    return UnexpectedRowsExpectation(unexpected_rows_query=query)
