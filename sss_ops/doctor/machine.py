"""This machine: Python and its packages, memory and disk, GPU and precision, pretrained weights."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops.doctor.checks import CheckResult, not_configured
from sss_ops.storage.published import find_published
from sss_ops.storage.s3 import SCHEME

if TYPE_CHECKING:
    from sss_model.config import Model


ROOT = Path(__file__).parents[2]
# What a run needs; those for development and for another kind of GPU build are left out.
LOCKS = ("requirements.txt", "requirements/torch.txt", "requirements/sam2.txt")
_GIB = 2**30
_DRIVER = Path("/proc/driver/nvidia/version")


def check_packages(root: Path = ROOT) -> list[CheckResult]:
    """Python, and the installed packages against the locks, where these are at hand."""
    name = f"Python {platform.python_version()}"
    pins = {pin: wanted for lock in LOCKS if (root / lock).exists() for pin, wanted in _pins(root / lock)}
    if not pins:
        return [CheckResult(name, "grey", "no requirements.txt here to compare the packages with")]
    missing = sorted(pin for pin in pins if _installed(pin) is None)
    differ = sorted(
        f"{pin} {_installed(pin)} (locked {wanted})"
        for pin, wanted in pins.items()
        if _installed(pin) not in (None, wanted)
    )
    fix = "run `make setup`, or build the image again"
    if missing:
        return [CheckResult(name, "red", f"{len(missing)} packages missing: {', '.join(missing[:3])}", fix)]
    if differ:
        return [CheckResult(name, "yellow", f"{len(differ)} packages differ: {', '.join(differ[:3])}", fix)]
    return [CheckResult(name, "green", f"{len(pins)} packages as locked")]


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    """Name and version of every package; those for other platforms or Pythons, with a marker, only if installed."""
    for line in lock.read_text(encoding="utf-8").splitlines():
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;+]+)[^\s;]*(\s*;)?", line)
        if pin and (not pin[3] or _installed(pin[1])):
            yield pin[1], pin[2]


def _installed(name: str) -> str | None:
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def check_resources() -> list[CheckResult]:
    """CPU cores, memory and disk that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory, free = _memory() / _GIB, shutil.disk_usage(Path.cwd()).free / _GIB
    found = f"{cores} CPU cores, {memory:.0f} GiB memory, {free:.0f} GiB free on disk"
    if free < 1:
        return [CheckResult("Memory and disk", "red", found, "free some disk space, a training needs a few GiB")]
    if memory < 4 or free < 5:
        return [CheckResult("Memory and disk", "yellow", found, "give it 4 GiB of memory and 5 GiB of disk or more")]
    return [CheckResult("Memory and disk", "green", found)]


def _memory() -> int:
    """Bytes of the machine, or of the container where that has less."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return whole if text == "max" else min(whole, int(text))


def check_gpu() -> list[CheckResult]:
    """Whether PyTorch sees a GPU, and the precision that training would choose."""
    import torch

    from sss_model.device import resolve_precision

    precision = CheckResult("Precision", "green", f"{resolve_precision('auto')}, where the recipe says auto")
    if not torch.cuda.is_available():
        return [_no_gpu(torch.version.cuda), precision]
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    found = f"{len(cards)} × {cards[0].name}, {cards[0].total_memory / _GIB:.0f} GiB, CUDA {torch.version.cuda}"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return [
            CheckResult("GPU", "yellow", f"{found}, without bfloat16", "train on Ampere or newer to halve memory"),
            precision,
        ]
    return [CheckResult("GPU", "green", f"{found}, with bfloat16"), precision]


def _no_gpu(cuda: str | None) -> CheckResult:
    if not _DRIVER.exists():
        return CheckResult("GPU", "grey", "no NVIDIA driver here; training uses the CPU")
    if cuda is None:
        return CheckResult(
            "GPU", "red", "a driver, but PyTorch is a CPU build", "install the CUDA build, run `make setup`"
        )
    fix = f"update the driver to one for CUDA {cuda}, or give the container a GPU (limits: nvidia.com/gpu)"
    return CheckResult("GPU", "red", f"PyTorch for CUDA {cuda} sees no GPU through the driver", fix)


_WEIGHTS = "SAM-2 checkpoint"


def check_pretrained(given: Path | None, params: Path) -> list[CheckResult]:
    """The file that is given, or what the recipe names; nothing is fetched."""
    if given:
        return [_file(given)]
    model = _model_of(params)
    if model is None or model.checkpoint is None:
        return [not_configured(_WEIGHTS, f"--checkpoint, or model.checkpoint in {params}")]
    from sss_ops.storage.pretrained import FOLDER, refuse_misfit

    refuse_misfit(model)
    named = model.checkpoint
    if named.startswith(SCHEME):
        return [CheckResult(_WEIGHTS, "grey", f"{named}: fetched when a training starts")]
    known = find_published(named, model.version)
    if known is None or Path(named).is_file():
        return [_file(Path(named))]
    if not (FOLDER / known.file).exists():
        return [CheckResult(_WEIGHTS, "yellow", f"{known.file}: not here yet", f"`sss checkpoint get {known.name}`")]
    return [_file(FOLDER / known.file)]


def _file(path: Path) -> CheckResult:
    from sss_model.network.pretrained import read_pretrained
    from sss_ops.storage import published

    known = published.find_published(path.name)
    digests = {each.sha256: each.file for each in published.PUBLISHED}
    try:
        read_pretrained(path)
        if known:
            published.refuse_other(path, known, where=str(path))
    except InputError as error:
        return CheckResult(
            _WEIGHTS, "red", str(error).partition(";")[0], "fetch it with `sss checkpoint get`, or name another file"
        )
    name = digests.get(sha256(path))
    if name is None:
        return CheckResult(
            _WEIGHTS, "yellow", f"{path}: none of the published ones", "nothing, if these are weights of your own"
        )
    return CheckResult(_WEIGHTS, "green", f"{path}: Meta's {name}, by its SHA-256")


def _model_of(params: Path) -> Model | None:
    if not params.exists():
        return None
    from sss_model.config import load_config

    return load_config(params).model
