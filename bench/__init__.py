"""Small programs that print a table and, last, one line of JSON."""

from pathlib import Path

RESULTS = Path("docs/results.jsonl")
"""Every look at a split of real data, one line each."""
