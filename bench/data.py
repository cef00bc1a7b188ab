"""Speed of importing scans and serving slices, compared with the limits of the disk and of one core.

    python -m bench.data

The disk's limit is reading the same files past the page cache; for an import, writing them as well. One core's limit is
the work that nobody is spared: unpacking and hashing each file once, or moving and recolouring slices that lie in
memory. Nearer to the lower limit than 1 is time lost; an import uses all cores, so it may pass one core's.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from sss_ops.command_line import run_command

_ACDC, _ACDC_RECIPE, _PHANTOM_RECIPE = Path("data/acdc"), Path("configs/cpu/acdc.yaml"), Path("configs/phantom.yaml")


def command(
    cases: Annotated[int, typer.Option(help="How many labelled cases to take.")] = 40,
    steps: Annotated[int, typer.Option(help="How many steps to serve.")] = 40,
    rounds: Annotated[int, typer.Option(help="Rounds of training steps for the wait, as in bench.step.")] = 2,
) -> None:
    """Time import, loading and the wait for data, on data/acdc or, where it is not there, on a phantom.

    Example: python -m bench.data --cases 40
    """
    from sss_model.config import load_config
    from sss_ops.experiments.cells import print_table

    with tempfile.TemporaryDirectory(prefix=".bench-data-", dir=".") as name:
        work = Path(name)
        source, recipe = _source(work, cases)
        config = load_config(recipe, {"data.labelled": None})
        rows = _imports(source, work)
        labelled, unlabelled = _slice_sets(config, work / "imported", work / "cache")
        rows.append(_serving(config, labelled, unlabelled, work / "cache", steps))
        step = _step(config, labelled, unlabelled, rounds)
    columns = ["what", "unit", "per_second", "disk_limit", "core_limit", "of_lower_limit"]
    print_table(f"Data of {config.data.name}, {cases} cases", rows, columns)
    wait = step["wait"] / step["seconds"]
    print(f"A training step of {step['seconds']:.3f} s ({config.train.method}) waits {wait:.1%} of it for its data.")
    print(json.dumps({"data": config.data.name, "cases": cases, "rows": rows, "step": step, "wait_share": wait}))


def _source(work: Path, cases: int) -> tuple[Path, Path]:
    """An nnU-Net folder of so many labelled cases, evenly spread over the data set; and the recipe for it."""
    from sss_model.data.canonical import open_dataset
    from sss_model.data.importing import import_dataset

    found, recipe = _ACDC, _ACDC_RECIPE
    if not found.exists():
        found, recipe = work / "phantom", _PHANTOM_RECIPE
        import_dataset("phantom", None, found)
    dataset, source = open_dataset(found), work / "source"
    for part in ("imagesTr", "labelsTr"):
        (source / part).mkdir(parents=True)
    shutil.copyfile(found / "dataset.json", source / "dataset.json")
    with_label = [(files.image, files.label) for files in dataset.cases if files.label]
    for image, label in with_label[:: max(1, len(with_label) // cases)][:cases]:
        shutil.copyfile(image, source / "imagesTr" / image.name)
        shutil.copyfile(label, source / "labelsTr" / label.name)
    return source, recipe


def _imports(source: Path, work: Path) -> list[dict[str, Any]]:
    from sss_model.data.importing import import_dataset

    files = sorted(path for path in source.rglob("*.nii*") if path.is_file())
    volumes = len(list((source / "imagesTr").iterdir()))
    archive = work / "source.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in [*files, source / "dataset.json"]:
            packed.write(path, path.relative_to(source))
    disk = _seconds(lambda: _copy_cold(files, work / "copy"))
    core = _seconds(lambda: list(map(_unpack_and_hash, files)))
    rows = []
    for what, place in (("import of a folder", source), ("import of a zip file", archive)):
        took = _seconds(lambda place=place: import_dataset("nnunet", place, work / "imported", replace=True))  # type: ignore[misc]
        rows.append(_row(what, "volumes", volumes / took, volumes / disk, volumes / core))
    return rows


def _slice_sets(config: Any, folder: Path, cache: Path) -> Any:
    from sss_model.data.manifest import build_manifest
    from sss_model.data.slices import SliceCache, SliceSet

    manifest = build_manifest(folder)
    slices = SliceCache(cache, data_dir=folder, config=config.data, classes=len(manifest.labels))
    images, labels = slices.images(manifest.cases), slices.labels(manifest.cases)
    distances = [case.slice_distance_mm for case in manifest.cases]
    neighbours = config.data.neighbours
    return SliceSet(images, labels, neighbours, distances), SliceSet(images, None, neighbours, distances)


def _serving(config: Any, labelled: Any, unlabelled: Any, cache: Path, steps: int) -> dict[str, Any]:
    """Slices served a second by one core: the labelled ones in one view, the unlabelled ones in three."""
    import torch

    from sss_model.device import make_fabric
    from sss_model.training.batches import Batches

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    batches = Batches(config, labelled=labelled, unlabelled=unlabelled, fabric=make_fabric("32-true"))
    count = steps * (config.train.batch + config.train.unlabelled_batch)
    batches.unlabelled(0, batches.labelled(0))
    took = _seconds(lambda: [batches.unlabelled(step, batches.labelled(step)) for step in range(steps)])
    core = _seconds(lambda: list(map(partial(_views_alone, config), range(steps))))
    torch.set_num_threads(threads)
    files = sorted(cache.glob("*.npy"))
    disk = _seconds(lambda: [_read_cold(path) for path in files])
    # Images and labels are files of their own, of the same number of slices.
    return _row("slices served", "slices", count / took, len(labelled) / disk, count / core)


def _views_alone(config: Any, step: int) -> None:
    """What one step's views cost where reading costs nothing."""
    import torch

    from sss_model.training.views import draw_noise, draw_views, move_images, move_labels, recolour, weak_grid

    views, data, train = config.views, config.data, config.train
    for batch, strong in ((train.batch, 1), (train.unlabelled_batch, 2)):
        images = torch.zeros(batch, 3, data.canvas, data.canvas)
        drawn = draw_views(seed=0, stream=0, step=step, batch=batch)
        grid = weak_grid(drawn, views, data=data)
        weak = move_images(images, grid)
        if strong == 1:
            move_labels(images[:, 0].long(), grid)
        for _ in range(strong):
            recolour(weak, draw_noise(drawn, data.size), drawn, views)


def _step(config: Any, labelled: Any, unlabelled: Any, rounds: int) -> dict[str, float]:
    from bench.step import ROUND
    from bench.timed_steps import TimedTraining, mean_step

    training = TimedTraining(config, (labelled, unlabelled))
    for number in range(ROUND):
        training.step(number, 0.5)
    return mean_step([training.step(number, 0.5) for number in range(rounds * ROUND)])


def _row(what: str, unit: str, rate: float, disk: float, core: float) -> dict[str, Any]:
    rates = {"per_second": rate, "disk_limit": disk, "core_limit": core, "of_lower_limit": rate / min(disk, core)}
    return {"what": what, "unit": unit, **rates}


def _copy_cold(files: list[Path], target: Path) -> None:
    target.mkdir()
    for path in files:
        with (target / path.name).open("wb") as file:
            file.write(_read_cold(path))
            file.flush()
            os.fsync(file.fileno())


def _read_cold(path: Path) -> bytes:
    with path.open("rb") as file:
        os.fsync(file.fileno())  # only what is on the disk can be dropped from memory
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def _unpack_and_hash(path: Path) -> None:
    data = path.read_bytes()
    hashlib.sha256(data).digest()
    if path.name.endswith(".gz"):
        gzip.decompress(data)


def _seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_command(command)
