"""``sss config show``: a whole recipe, every key with its default, unit, bounds and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sss_model.files import write_atomically
from sss_ops.command_line import new_app

app = new_app(help="Recipes: the settings of data, training, prediction, evaluation and registry.")


@app.callback()
def _group() -> None:
    """Recipes: the settings of data, training, prediction, evaluation and registry."""


@app.command("show")
def show_config(
    recipe: Annotated[str, typer.Argument(help="Recipe: a .yaml file, or a name under configs/.")] = "params.yaml",
    diff: Annotated[bool, typer.Option("--diff", help="Only the keys that differ from the defaults.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write plain YAML to this file instead, without comments.")] = None,
) -> None:
    """Show a recipe with every key: value, default, unit, bounds and meaning.

    The output is a recipe itself. What differs from the defaults stands at the top.

    Example: sss config show cpu/acdc --diff
    """
    import yaml

    from sss_model.config import dump_config, load_config
    from sss_ops.recipe import recipe_path
    from sss_ops.recipe_keys import LINE_WIDTH, differences, recipe_yaml

    config = load_config(recipe_path(recipe))
    if out is None:
        typer.echo(recipe_yaml(config, name=recipe, diff=diff), nl=False)
        return
    plain = differences(config) if diff else dump_config(config)
    write_atomically(out, yaml.safe_dump(plain, sort_keys=False, width=LINE_WIDTH).encode())
