"""Step 2: the gate that stops training on data that can't be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from components.gate.rule import Outcome


def run(*, data_dir: Path, manifest: Path, params: Path, report: Path) -> bool:
    """Check a data set and write the report, one self-contained HTML page.

    Args:
        data_dir: the data set's folder, in the canonical layout.
        manifest: its manifest.csv.
        params: the recipe that is to be trained, like params.yaml.
        report: HTML file to write, whatever comes out.

    Returns:
        Whether every rule holds.

    Raises:
        InputError: the manifest or the recipe can't be read.
    """
    return not _failures(_validate(data_dir=data_dir, manifest=manifest, params=params, report=report))


def command(
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    manifest: Annotated[Path, typer.Option(help="Its manifest, from version-data.")] = Path("manifest.csv"),
    params: Annotated[Path, typer.Option(help="Recipe to be trained.")] = Path("params.yaml"),
    report: Annotated[Path, typer.Option(help="HTML report to write.")] = Path("validation/report.html"),
) -> None:
    """Check that the data can be trusted; exit with code 2 and a report where it can't.

    Example: sss validate-splits --data-dir data/phantom
    """
    from sss_model.errors import InputError

    outcomes = _validate(data_dir=data_dir, manifest=manifest, params=params, report=report)
    failures = _failures(outcomes)
    if failures:
        first = "; ".join(failures[:3]) + ("; …" if len(failures) > 3 else "")
        raise InputError(f"{data_dir}: {_counted(failures)} ({first}); expected none, see {report}")
    typer.echo(f"{data_dir}: all {len(outcomes)} checks passed, see {report}")


def _validate(*, data_dir: Path, manifest: Path, params: Path, report: Path) -> "list[Outcome]":
    from sss_model.config import load_config
    from sss_model.files import write_atomically
    from sss_model.manifest import read_manifest

    found, config = read_manifest(manifest), load_config(params)
    # Great Expectations takes seconds to import: what can't be read is refused before.
    from components.gate.evidence import gather
    from components.gate.judge import judge
    from components.gate.page import make_page
    from components.gate.rules import rules_for
    from components.gate.tables import make_tables

    evidence = gather(found, config, data_dir)
    outcomes = judge(rules_for(config), make_tables(evidence))
    write_atomically(report, make_page(data_dir.resolve().name, evidence, outcomes).encode())
    return outcomes


def _failures(outcomes: "list[Outcome]") -> list[str]:
    return [sentence for outcome in outcomes for sentence in outcome.sentences]


def _counted(failures: list[str]) -> str:
    return f"{len(failures)} {'problem' if len(failures) == 1 else 'problems'}"


def kubeflow_component() -> Any:
    """The step as a Kubeflow component.

    It succeeds whatever comes out: Kubeflow keeps no artifact of a task that fails, and the report is what a person
    needs then. The step after it refuses.
    """
    from kfp import dsl

    @dsl.component(base_image="sss", install_kfp_package=False)
    def validate_splits(
        data: dsl.Input[dsl.Dataset],
        manifest: dsl.Input[dsl.Dataset],
        recipe: str,
        data_version: str,
        image: str,
        report: dsl.Output[dsl.HTML],
    ) -> NamedTuple("Gate", [("passed", bool)]):  # type: ignore[valid-type]
        """Check that the data can be trusted, and report."""
        from pathlib import Path

        from components import pod, validate_splits

        with pod.pod(image=image), pod.recipe_file(recipe) as params:
            passed = validate_splits.run(
                data_dir=Path(data.path, data.metadata["name"]),
                manifest=Path(manifest.path),
                params=params,
                report=Path(report.path),
            )
        return (passed,)

    return validate_splits


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
