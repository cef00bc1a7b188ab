"""``sss import``: scans of any known layout into ``data/``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sss_ops.command_line import new_app

app = new_app(help="Bring scans into data/: one folder a data set, in nnU-Net's raw layout, with splits.csv.")

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Folder or zip file, or a folder of zip files.")]
Destination = Annotated[
    Path, typer.Argument(metavar="DST", help="New folder, data/NAME; NAME is data.name in params.yaml.")
]
Splits = Annotated[
    Path | None,
    typer.Option(
        help="CSV like splits.csv, or a folder of SSL4MIS's lists; the source's own or seeded ones if not given."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the splits, grouped by patient and stratified by group.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what the destination holds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what was understood of the source, and write nothing.")]
Spacing = Annotated[
    str | None, typer.Option(help="Voxel size in mm, columns, rows and slices, where the files carry none.")
]
Labels = Annotated[str | None, typer.Option(help="Names of the masks' values above 0, in their order: tumour,oedema.")]


@app.command("acdc")
def import_acdc(
    source: Source,
    destination: Destination,
    spacing: Spacing = None,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """The ACDC challenge's own tree, patient001/patient001_frame01.nii.gz and so on, or SSL4MIS's .h5 volumes.

    Example: sss import acdc downloads/ACDC/training data/acdc
    """
    _import("acdc", source, destination, splits, seed, replace, dry_run, spacing=spacing)


@app.command("bhsd")
def import_bhsd(
    source: Source,
    destination: Destination,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """BHSD's haemorrhages: label_192 with its official test cases and, where it is there, unlabel_1980.

    Example: sss import bhsd downloads/BHSD data/bhsd
    """
    _import("bhsd", source, destination, splits, seed, replace, dry_run)


@app.command("btcv")
def import_btcv(
    source: Source,
    destination: Destination,
    spacing: Spacing = None,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """BTCV's 13 organs: the challenge's Training/img and Training/label, or Medical-SAM2's slices.

    Example: sss import btcv downloads/Abdomen/RawData data/btcv
    """
    _import("btcv", source, destination, splits, seed, replace, dry_run, spacing=spacing)


@app.command("refuge")
def import_refuge(
    source: Source,
    destination: Destination,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """REFUGE's optic cups and discs: the challenge's Disc_Cup_Masks, or Medical-SAM2's seven raters.

    Example: sss import refuge downloads/REFUGE2.zip data/refuge
    """
    _import("refuge", source, destination, splits, seed, replace, dry_run)


@app.command("nnunet")
def import_nnunet(
    source: Source,
    destination: Destination,
    channel: Annotated[str | None, typer.Option(help="The channel to take of several, by name or number.")] = None,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """Any nnU-Net raw or Medical Segmentation Decathlon data set: imagesTr, labelsTr and dataset.json.

    Example: sss import nnunet nnUNet_raw/Dataset004_Hippocampus data/hippocampus
    """
    _import("nnunet", source, destination, splits, seed, replace, dry_run, channel=channel)


@app.command("folder")
def import_folder(
    source: Source,
    destination: Destination,
    images: Annotated[str | None, typer.Option(help="Name of the folder of images, if it can't be guessed.")] = None,
    masks: Annotated[str | None, typer.Option(help="Name of the folder of masks, if it can't be guessed.")] = None,
    labels: Labels = None,
    patient: Annotated[
        str | None, typer.Option(help="Regular expression; its first group, in a case's name, is the patient.")
    ] = None,
    modality: Annotated[str | None, typer.Option(help="MRI, CT and so on, for the record.")] = None,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """Your own data: images and masks side by side or in two folders, NIfTI or pictures.

    Example: sss import folder scans data/mine --labels tumour --patient '(.+)_' --dry-run
    """
    choices = {"images": images, "masks": masks, "labels": labels, "patient": patient, "modality": modality}
    _import("folder", source, destination, splits, seed, replace, dry_run, **choices)


@app.command("dicom")
def import_dicom(
    source: Source,
    destination: Destination,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, CASE.nii.gz on the imported grid.")] = None,
    labels: Labels = None,
    splits: Splits = None,
    seed: Seed = 0,
    replace: Replace = False,
    dry_run: DryRun = False,
) -> None:
    """DICOM series, a case each, unlabelled or with masks that were drawn on them.

    Example: sss import dicom export data/clinic --masks drawn --labels tumour
    """
    _import("dicom", source, destination, splits, seed, replace, dry_run, masks=masks, labels=labels)


@app.command("phantom")
def import_phantom(
    destination: Destination,
    seed: Annotated[int, typer.Option(help="Seed of the scans.")] = 0,
    replace: Replace = False,
) -> None:
    """A synthetic cohort to try everything with, the same bytes on any machine.

    Example: sss import phantom data/phantom
    """
    _import("phantom", None, destination, None, seed, replace, False)


def _import(
    layout: str,
    source: Path | None,
    destination: Path,
    splits: Path | None,
    seed: int,
    replace: bool,
    dry_run: bool,
    **choices: Any,
) -> None:
    from sss_model.data.importing import import_dataset, plan_import

    if dry_run and source:
        typer.echo(plan_import(layout, source, splits=splits, seed=seed, **choices))
        return
    typer.echo(import_dataset(layout, source, destination, splits=splits, seed=seed, replace=replace, **choices))
