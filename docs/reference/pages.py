"""The generated reference pages: file name to the function that renders it."""

from __future__ import annotations

from collections.abc import Callable

from docs.reference.commands import commands_page
from docs.reference.data_checks import data_checks_page
from docs.reference.recipe import recipe_page

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "data-checks.md": data_checks_page,
    "recipe.md": recipe_page,
}
