"""Training on several GPUs of one node: a process for each, under torchrun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(
    *, params: Path, data_dir: Path, manifest: Path, data_version: Path, output: Path, work: str, processes: int
) -> None:
    """Train as `components.train.run` does, in several processes at once.

    Args:
        params, data_dir, manifest, data_version, output, work: see `components.train.run`.
        processes: how many; one a GPU.

    Raises:
        SystemExit: with torchrun's exit status where it is not 0; the reason is in the log above.
    """
    from components.pretrained.parent import pinned
    from components.train import beside

    with pinned(params) as exact:
        options = options_of(
            params=exact,
            data_dir=data_dir,
            manifest=manifest,
            data_version=data_version,
            output=output,
            work=work,
            cache=beside(work, "cache"),
            checkpoints=beside(work, "checkpoints"),
        )
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        status = subprocess.run([*command, "-m", "components.train", *options]).returncode
    if status:
        raise SystemExit(status)


def options_of(**values: Path | str) -> list[str]:
    """The command line of `components.train` for its options' values."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]
