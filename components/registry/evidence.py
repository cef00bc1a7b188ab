"""What a registration keeps with the version's run, so that an audit and a release need nothing else.

One folder a registration, named by its content: a training can be evaluated and registered again, and what its first
version rests on must stay. The hash of the folder's ``SHA256SUMS`` is a tag of the version.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.sums import write_sums
from sss_model.audit import audit
from sss_model.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "evidence_sha256"
CHECKPOINT = "checkpoint"
"""Where an audit looks for the weights, which are kept as the model."""
_ROOT = "evidence"


@contextmanager
def proven(files: Mapping[str, Path], checkpoint: Path) -> Iterator[Path]:
    """A folder of what an evaluation left, for the length of a ``with`` block, once an audit finds nothing against it.

    Args:
        files: name that an audit knows it by, and where that file or folder lies; nothing is copied.
        checkpoint: what was evaluated; it isn't in the folder, being kept as the model.

    Raises:
        InputError: the files contradict one another, or the checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="sss-") as name:
        folder = Path(name)
        for place, source in {**files, CHECKPOINT: checkpoint}.items():
            _link(source, folder / place)
        _refuse_contradictions(folder)
        shutil.rmtree(folder / CHECKPOINT)
        yield folder


def _link(source: Path, target: Path) -> None:
    """Link a file, or all files of a folder one by one: MLflow does not follow links to folders."""
    if not source.exists():
        raise InputError(f"{source}: no such file; expected what an earlier step writes")
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file():
            link = target / path.relative_to(source) if source.is_dir() else target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def _refuse_contradictions(folder: Path) -> None:
    try:
        findings = audit(folder).findings
    except InputError as error:
        findings = [str(error)]
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise InputError(
            f"the evaluation can't be registered: {findings[0].replace(f'{folder}/', '')}{more}; "
            "evaluate this checkpoint again with `sss evaluate`"
        )


def keep(client: MlflowClient, run_id: str, folder: Path) -> str:
    """Store a folder of evidence with a run; returns its hash, which `TAG` is to say."""
    digest = write_sums(folder)
    client.log_artifacts(run_id, str(folder), place_of(digest))
    return digest


def place_of(digest: str) -> str:
    """Where evidence of this hash lies among a run's artifacts."""
    return f"{_ROOT}/{digest[:16]}"
