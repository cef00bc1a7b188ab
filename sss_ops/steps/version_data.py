"""The step ``version-data``: a data set in, its manifest and version record out."""

from pathlib import Path
from typing import Annotated

import typer

from sss_model.files import sha256, write_json


def version_data(
    *,
    data_dir: Annotated[Path, typer.Option(help="Data set in the canonical layout; its folder's name is its name.")],
    manifest: Annotated[Path, typer.Option(help="Manifest to write, one row per case.")] = Path("manifest.csv"),
    data_version: Annotated[Path, typer.Option(help="Version record to write.")] = Path("data_version.json"),
    dvc_file: Annotated[Path, typer.Option(help="DVC's record of the data folder.")] = Path("data.dvc"),
    version: Annotated[str, typer.Option(help="Data version; what DVC recorded if not given.")] = "",
) -> None:
    """Write the manifest of a data set and the record of its DVC version.

    Example: sss version-data --data-dir data/phantom
    \f
    The version record holds: name, version, manifest_sha256, labels, channel, licence and citation.

    Raises:
        InputError: the data can't be used, or DVC does not track them; nothing is written.
    """
    from sss_model.data.canonical import channels_of, read_description
    from sss_model.data.manifest import build_manifest, write_manifest
    from sss_ops.data_versions.versions import tracked_version

    version = version or tracked_version(dvc_file)
    found = build_manifest(data_dir)
    description = read_description(data_dir)
    write_manifest(found, manifest)
    record = {
        "name": data_dir.resolve().name,
        "version": version,
        "manifest_sha256": sha256(manifest),
        "labels": found.labels,
        "channel": channels_of(description, data_dir / "dataset.json")[0],
        "licence": str(description.get("licence", "")),
        "citation": str(description.get("citation", "")),
    }
    write_json(data_version, record)
