"""Command lines made of plain functions, whose errors are one sentence.

Annotated parameters become arguments and options; the docstring, up to ``\\f``, is the help.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from sss_ops.errors import sentence_about


def run_command(function: Callable[..., None]) -> None:
    """Run a function as the whole command line of this process.

    Never returns: exits 0 when the function does, 2 with one sentence on stderr for input that can't be used, a full
    disk, or a server that refuses or does not answer. Any other exception keeps its traceback.
    """
    app = new_app()
    app.command()(function)
    run_app(app)


def new_app(help: str | None = None) -> typer.Typer:
    """A typer application in this project's manner: no completion options, plain tracebacks, help when called bare."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        help=help,
    )


def run_app(app: Callable[[], object]) -> None:
    """Run an application, a typer one or any function; exit codes as in `run_command`."""
    try:
        app()
    except Exception as error:
        sentence = sentence_about(error)
        if sentence is None:
            raise
        typer.secho(f"error: {sentence}", fg="red", err=True)
        raise SystemExit(2) from None
