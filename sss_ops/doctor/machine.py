"""This machine: Python and its packages, room, GPU, precision."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sss_ops.doctor.checks import Line

ROOT = Path(__file__).parents[2]
# What a run needs; those for development and for another kind of GPU build are left out.
LOCKS = ("requirements.txt", "requirements/torch.txt", "requirements/sam2.txt")
_GIB = 2**30
_DRIVER = Path("/proc/driver/nvidia/version")


def packages(root: Path = ROOT) -> list[Line]:
    """Python, and the installed packages against the locks, where these are at hand."""
    name = f"Python {platform.python_version()}"
    pins = {pin: wanted for lock in LOCKS if (root / lock).exists() for pin, wanted in _pins(root / lock)}
    if not pins:
        return [Line(name, "grey", "no requirements.txt here to compare the packages with")]
    missing = sorted(pin for pin in pins if _installed(pin) is None)
    differ = sorted(
        f"{pin} {_installed(pin)} (locked {wanted})"
        for pin, wanted in pins.items()
        if _installed(pin) not in (None, wanted)
    )
    fix = "run `make setup`, or build the image again"
    if missing:
        return [Line(name, "red", f"{len(missing)} packages missing: {', '.join(missing[:3])}", fix)]
    if differ:
        return [Line(name, "yellow", f"{len(differ)} packages differ: {', '.join(differ[:3])}", fix)]
    return [Line(name, "green", f"{len(pins)} packages as locked")]


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


def room() -> list[Line]:
    """CPU cores, memory and disk that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory, free = _memory() / _GIB, shutil.disk_usage(Path.cwd()).free / _GIB
    found = f"{cores} CPU cores, {memory:.0f} GiB memory, {free:.0f} GiB free on disk"
    if free < 1:
        return [Line("Room", "red", found, "free some disk space, a training needs a few GiB")]
    if memory < 4 or free < 5:
        return [Line("Room", "yellow", found, "give it 4 GiB of memory and 5 GiB of disk or more")]
    return [Line("Room", "green", found)]


def _memory() -> int:
    """Bytes of the machine, or of the container where that has less."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return whole if text == "max" else min(whole, int(text))


def gpu() -> list[Line]:
    """Whether PyTorch sees a GPU, and the precision that training would choose."""
    import torch

    from sss_model.device import resolve_precision

    precision = Line("Precision", "green", f"{resolve_precision('auto')}, where the recipe says auto")
    if not torch.cuda.is_available():
        return [_no_gpu(torch.version.cuda), precision]
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    found = f"{len(cards)} × {cards[0].name}, {cards[0].total_memory / _GIB:.0f} GiB, CUDA {torch.version.cuda}"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return [
            Line("GPU", "yellow", f"{found}, without bfloat16", "train on Ampere or newer to halve memory"),
            precision,
        ]
    return [Line("GPU", "green", f"{found}, with bfloat16"), precision]


def _no_gpu(cuda: str | None) -> Line:
    if not _DRIVER.exists():
        return Line("GPU", "grey", "no NVIDIA driver here; training uses the CPU")
    if cuda is None:
        return Line("GPU", "red", "a driver, but PyTorch is a CPU build", "install the CUDA build, run `make setup`")
    fix = f"update the driver to one for CUDA {cuda}, or give the container a GPU (limits: nvidia.com/gpu)"
    return Line("GPU", "red", f"PyTorch for CUDA {cuda} sees no GPU through the driver", fix)
