"""A source's scans as files of a canonical data set, many at once, and none twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sss_model.datasets.assignments import Assignment
from sss_model.datasets.canonical import CaseFiles
from sss_model.datasets.inventory import Inventory, Scan
from sss_model.datasets.staging import Staging
from sss_model.errors import InputError
from sss_model.facts import Facts, inspect
from sss_model.parallel import for_each


def write_cases(inventory: Inventory, rows: Mapping[str, Assignment], staging: Staging) -> tuple[list[Facts], int]:
    """Write images and labels of the cases that have a row.

    Returns:
        Facts of the cases, sorted by case, and how many of them an import that was cut off had written already.

    Raises:
        InputError: a scan can't be used; the sentence names its case and file.
    """
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (staging.new / part).mkdir(parents=True, exist_ok=True)
    jobs = sorted(
        ((scan, _files(scan, rows[scan.case], inventory, staging)) for scan in inventory.scans if scan.case in rows),
        key=lambda job: job[0].case,
    )
    made = for_each(lambda job: _made(*job, inventory, staging), jobs, description="Importing scans")
    return [facts for facts, _ in made], sum(was_there for _, was_there in made)


def _files(scan: Scan, row: Assignment, inventory: Inventory, staging: Staging) -> CaseFiles:
    part, ending = "Ts" if row.split == "test" else "Tr", inventory.file_ending
    image = staging.new / f"images{part}" / f"{scan.case}_0000{ending}"
    return CaseFiles(scan.case, image, staging.new / f"labels{part}" / f"{scan.case}{ending}" if scan.label else None)


def _made(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> tuple[Facts, bool]:
    known = staging.recorded(files)
    if known:
        return known, True
    write = _copy if inventory.convert is None else _convert
    facts = write(scan, files, inventory, staging)
    staging.record(files, facts)
    return facts, False


def _convert(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> Facts:
    assert inventory.convert is not None
    try:
        inventory.convert(scan, files.image, files.label)
        return inspect(files, inventory.labels)
    except InputError as error:
        # What is wrong with a converted file is wrong with the source's, which is the one a person can look at.
        sentence = str(error).replace(str(files.image), str(scan.image)).replace(str(files.label), str(scan.label))
        prefix = f"case {scan.case}: "
        raise InputError(prefix + sentence.removeprefix(prefix)) from None


def _copy(scan: Scan, files: CaseFiles, inventory: Inventory, staging: Staging) -> Facts:
    """Take a case's bytes as they are, once they have proved to be usable."""
    facts = inspect(CaseFiles(scan.case, scan.image, scan.label), inventory.labels)
    for source, target in ((scan.image, files.image), (scan.label, files.label)):
        if source and target:
            _take(source, target, staging.folder)
    return facts


def _take(source: Path, target: Path, workspace: Path) -> None:
    target.unlink(missing_ok=True)
    # What was unpacked for this import needn't lie on the disk twice, and stays where the next process would look for
    # it; a link in there leads to the user's own file.
    if source.resolve().is_relative_to(workspace.resolve()):
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # not every file system has hard links
    shutil.copyfile(source, target)
