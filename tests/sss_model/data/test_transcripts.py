"""Every transcript of docs/reference/layouts.md is what its commands print."""

from __future__ import annotations

import os

import pytest
from support.transcripts import DOCUMENT, blocks, is_real, replay

BLOCKS = blocks(DOCUMENT.read_text())


def _marked(block: str) -> object:
    if not is_real(block):
        return pytest.param(block, id=" ".join(block.split()[3:5]))
    without = pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")
    return pytest.param(block, id="ACDC itself", marks=[pytest.mark.acceptance, without])


@pytest.mark.parametrize("block", [_marked(block) for block in BLOCKS])
def test_a_transcript_is_what_its_commands_print(block: str) -> None:
    assert replay(block) == block


def test_every_layout_has_a_transcript_with_the_verdict_of_the_data_checks() -> None:
    judged = [block.split()[3] for block in BLOCKS if "checks passed" in block]
    assert set(judged) == {"acdc", "bhsd", "btcv", "refuge", "nnunet", "folder", "dicom", "phantom"}
