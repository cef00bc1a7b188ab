"""Command lines whose errors are one sentence.

Every step's file ends with ``if __name__ == "__main__": run_command(command)``, where ``command`` is a plain function
whose annotations typer turns into arguments and whose docstring is the help.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import typer

from sss_model.errors import InputError


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
        sentence = sentence_of(error)
        if sentence is None:
            raise
        typer.secho(f"error: {sentence}", fg="red", err=True)
        raise SystemExit(2) from None


def sentence_of(error: Exception) -> str | None:
    """What to tell a person about input that can't be used, a full disk, or a server; None for any other error."""
    from sss_ops.tracking.errors import sentence_about

    if isinstance(error, InputError):
        return str(error)
    full = next((link for link in _chain(error) if getattr(link, "errno", None) == errno.ENOSPC), None)
    if full is None:
        return sentence_about(error)
    where = getattr(full, "filename", None)
    return f"the disk is full{f', {where} could not be written' if where else ''}; free some space and run again"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what led to it, since libraries wrap an OSError in errors of their own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
