"""Step 1: the manifest of a data set, and the name of the version that DVC tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(*, data_dir: Path, manifest: Path, data_version: Path, dvc_file: Path = Path("data.dvc")) -> None:
    """Read every scan once and write down what there is.

    Args:
        data_dir: a data set in the canonical layout; its folder's name is the data set's.
        manifest: CSV file to write, one row per case.
        data_version: JSON file to write: name, version (the md5 in `dvc_file`), manifest_sha256 and labels.
        dvc_file: DVC's record of the data folder.

    Raises:
        InputError: `dvc_file` is missing or records no version, or the data can't be used; nothing is written.
    """
    import json

    from sss_model.files import sha256, write_atomically
    from sss_model.manifest import build_manifest, write_manifest

    version = tracked_version(dvc_file)
    found = build_manifest(data_dir)
    write_manifest(found, manifest)
    facts = {
        "name": data_dir.resolve().name,
        "version": version,
        "manifest_sha256": sha256(manifest),
        "labels": found.labels,
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
    run(data_dir=data_dir, manifest=manifest, data_version=data_version, dvc_file=dvc_file)


if __name__ == "__main__":
    from components.command_line import run_command

    run_command(command)
