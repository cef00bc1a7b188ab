"""Step 1: the manifest of a data set, and the name of the version that DVC tracks."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer


def run(*, data_dir: Path, manifest: Path, data_version: Path, version: str) -> None:
    """Read every scan once and write down what there is.

    Args:
        data_dir: a data set in the canonical layout; its folder's name is the data set's.
        manifest: CSV file to write, one row per case.
        data_version: JSON file to write: name, version, manifest_sha256, labels, and what ``dataset.json`` says of
            kind, licence and citation.
        version: the md5 that DVC tracks the data under.

    Raises:
        InputError: the data can't be used; nothing is written.
    """
    import json

    from sss_model.datasets.canonical import channels_of, read_description
    from sss_model.files import sha256, write_atomically
    from sss_model.manifest import build_manifest, write_manifest

    found = build_manifest(data_dir)
    description = read_description(data_dir)
    write_manifest(found, manifest)
    facts = {
        "name": data_dir.resolve().name,
        "version": version,
        "manifest_sha256": sha256(manifest),
        "labels": found.labels,
        "channel": channels_of(description, data_dir / "dataset.json")[0],
        "licence": str(description.get("licence", "")),
        "citation": str(description.get("citation", "")),
    }
    write_atomically(data_version, (json.dumps(facts, indent=2) + "\n").encode())


def tracked_version(dvc_file: Path) -> str:
    """The md5 that DVC recorded for the data folder; raises `InputError` where there is none."""
    import yaml

    from sss_model.errors import InputError

    try:
        return str(yaml.safe_load(dvc_file.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except FileNotFoundError:
        raise InputError(f"{dvc_file}: no such file; expected DVC to track the data, run `dvc add data`") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, IndexError):
        raise InputError(f"{dvc_file}: records no md5; expected what `dvc add data` writes") from None


def command(
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout.")],
    manifest: Annotated[Path, typer.Option(help="Manifest to write.")] = Path("manifest.csv"),
    data_version: Annotated[Path, typer.Option(help="Version record to write.")] = Path("data_version.json"),
    dvc_file: Annotated[Path, typer.Option(help="DVC's record of the data folder.")] = Path("data.dvc"),
) -> None:
    """Write the manifest of a data set and the version DVC tracks it under.

    Example: sss version-data --data-dir data/phantom
    """
    run(data_dir=data_dir, manifest=manifest, data_version=data_version, version=tracked_version(dvc_file))


def kubeflow_component() -> Any:
    """The step as a Kubeflow component.

    It is a run's first, so it also settles what can fail at once, before a scan is fetched: where the training can run,
    and which recipe it follows. Later steps take both from here.
    """
    from kfp import dsl

    @dsl.component(base_image="sss", install_kfp_package=False)
    def version_data(
        recipe: str,
        labelled_patients: int,
        method: str,
        encoder: str,
        checkpoint: str,
        image_size: int,
        steps: int,
        minutes: float,
        min_labelled_patients: int,
        min_test_patients: int,
        min_dice: float,
        experiment: str,
        model_name: str,
        data_remote: str,
        data_version: str,
        pool: str,
        gpus: int,
        nodes: int,
        spot: bool,
        work: str,
        image: str,
        data: dsl.Output[dsl.Dataset],
        manifest: dsl.Output[dsl.Dataset],
        record: dsl.Output[dsl.Artifact],
    ) -> NamedTuple(  # type: ignore[valid-type]
        "Settled",
        [
            ("version", str),
            ("settled_recipe", str),
            ("accelerator", str),
            ("accelerator_count", str),
            ("node_selector", dict),
            ("tolerations", list),
            ("cpu", str),
            ("memory", str),
            ("trainer", dict),
        ],
    ):
        """Settle where and what to train; fetch that version of the scans and write down what there is."""
        from pathlib import Path

        from components import data_source, placement, pod, version_data
        from components import recipe as recipes

        settings = {name: value for name, value in locals().items() if name in recipes.SETTINGS}
        with pod.pod(image=image):
            place = placement.place(pool, gpus=gpus, nodes=nodes, spot=spot, work=work)
            config = recipes.resolve(recipe, settings)
            name = config.data.name
            version = data_source.fetch_data(remote=data_remote, version=data_version, name=name, into=Path(data.path))
            version_data.run(
                data_dir=Path(data.path, name),
                manifest=Path(manifest.path),
                data_version=Path(record.path),
                version=version,
            )
        data.metadata.update(name=name, version=version)
        return (
            version,
            recipes.recipe_text(config),
            place.accelerator,
            place.accelerator_count,
            place.node_selector,
            place.tolerations,
            place.cpu,
            place.memory,
            place.trainer,
        )

    return version_data


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
