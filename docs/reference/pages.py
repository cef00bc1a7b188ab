"""The generated reference pages: file name to the function that renders it."""

from __future__ import annotations

from collections.abc import Callable

from docs.reference.commands import commands_page
from docs.reference.data_checks import data_checks_page
from docs.reference.medical_sam2_flags import medical_sam2_flags_page
from docs.reference.recipe import recipe_page

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "data-checks.md": data_checks_page,
    "medical-sam2-flags.md": medical_sam2_flags_page,
    "recipe.md": recipe_page,
}
