"""The console script `sss`; also `python -m sss_ops`, for places that have no console script, such as torchrun."""

import sys


def main() -> None:
    """Run the command line; where the packages of the extra `ops` are missing, say what to install and exit with 2."""
    try:
        from sss_ops.cli import main as run

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("sss_model", "sss_ops")):
            raise
        install = "expected the packages of the command line, as `pip install 'sss-medical[ops]'` installs them"
        print(f"error: {error.name} is not installed; {install}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
