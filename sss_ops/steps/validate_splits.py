"""The step ``validate-splits``: the data checks before a training, and their report."""

from pathlib import Path
from typing import Annotated

import typer

from sss_model.errors import InputError
from sss_model.files import write_atomically


class DataChecksFailedError(InputError):
    """A data check failed; the report says which."""


def validate_splits(
    *,
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    manifest: Annotated[Path, typer.Option(help="Its manifest, from version-data.")] = Path("manifest.csv"),
    params: Annotated[Path, typer.Option(help="Recipe to be trained.")] = Path("params.yaml"),
    report: Annotated[Path, typer.Option(help="HTML report to write.")] = Path("validation/report.html"),
) -> None:
    """Run the data checks and write their report; exit code 2 where one fails.

    Example: sss validate-splits --data-dir data/phantom
    \f
    Raises:
        DataChecksFailedError: a rule does not hold; the report is written.
        InputError: the manifest or the recipe can't be read.
    """
    from sss_model.config import load_config
    from sss_model.data.manifest import read_manifest

    found, config = read_manifest(manifest), load_config(params)
    # Great Expectations takes seconds to import: what can't be read is refused before.
    from sss_ops.data_checks.judge import check_data
    from sss_ops.data_checks.report import make_page

    checked = check_data(found, config, data_dir)
    write_atomically(report, make_page(data_dir.resolve().name, checked.evidence, checked.outcomes).encode())
    if failures := checked.sentences:
        first = "; ".join(failures[:3]) + ("; …" if len(failures) > 3 else "")
        counted = f"{len(failures)} {'problem' if len(failures) == 1 else 'problems'}"
        raise DataChecksFailedError(f"{data_dir}: {counted} ({first}); expected none, see {report}")
    typer.echo(f"{data_dir}: all {len(checked.outcomes)} checks passed, see {report}")
