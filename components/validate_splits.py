"""Step 2: the gate that stops training on data that can't be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from sss_model.checks import Check, Subject

# Each check with what it found: sentences that name the failing cases, none where it passed.
Results = list[tuple["Check", list[str]]]


def run(*, data_dir: Path, manifest: Path, params: Path, report: Path) -> bool:
    """Check a data set and write the report, one self-contained HTML page.

    Args:
        data_dir: the data set's folder, in the canonical layout.
        manifest: its manifest.csv.
        params: the recipe that is to be trained, like params.yaml.
        report: HTML file to write, whatever comes out.

    Returns:
        Whether every check passed.

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

    results = _validate(data_dir=data_dir, manifest=manifest, params=params, report=report)
    failures = _failures(results)
    if failures:
        first = "; ".join(failures[:3]) + ("; …" if len(failures) > 3 else "")
        raise InputError(f"{data_dir}: {len(failures)} problems ({first}); expected none, see {report}")


def _validate(*, data_dir: Path, manifest: Path, params: Path, report: Path) -> Results:
    from sss_model.checks import CHECKS, Subject
    from sss_model.config import load_config
    from sss_model.files import write_atomically
    from sss_model.manifest import read_manifest

    subject = Subject(read_manifest(manifest), load_config(params), data_dir)
    results = [(check, check.failures(subject)) for check in CHECKS]
    write_atomically(report, _page(subject, results).encode())
    return results


def _failures(results: Results) -> list[str]:
    return [sentence for _, sentences in results for sentence in sentences]


def _page(subject: "Subject", results: Results) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("validation.html").render(
        name=subject.data_dir.resolve().name,
        results=sorted(results, key=lambda result: not result[1]),
        failed=sum(bool(sentences) for _, sentences in results),
        sides=[_side(subject, split, what) for split, what in _SIDES],
        structures=list(subject.manifest.labels)[1:],
        lenders=len({case.patient for case in subject.labelled}) if subject.queue else 0,
    )


_SIDES = (("train", "Training"), ("val", "Validation"), ("test", "Test"))


def _side(subject: "Subject", split: str, what: str) -> dict[str, object]:
    cases = subject.manifest.split(split)
    return {
        "name": what,
        "patients": len({case.patient for case in cases}),
        "labelled_patients": len({case.patient for case in cases if case.labelled}),
        "cases": len(cases),
        "slices": sum(case.slices for case in cases),
        "drawn": [sum(bool(case.voxels.get(name)) for case in cases) for name in list(subject.manifest.labels)[1:]],
    }


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
