"""The gate before corrected labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sss_model.config import Config
from sss_model.errors import InputError
from sss_model.manifest import build_manifest

_SHOWN = 3


def check_labels(folder: Path, cases: Sequence[str], config: Config) -> list[str]:
    """Hold a data set against the gate's rules because of some cases.

    Args:
        folder: the data set with the new labels.
        cases: those that have one.
        config: the recipe whose section ``validation`` counts.

    Returns:
        What the gate finds that names none of the cases: it is no reason to refuse their labels.

    Raises:
        InputError: the gate finds something in one of the cases.
    """
    # Great Expectations takes seconds to import.
    from components.gate.evidence import gather
    from components.gate.judge import judge
    from components.gate.rules import rules_for
    from components.gate.tables import make_tables

    outcomes = judge(rules_for(config), make_tables(gather(build_manifest(folder), config, folder)))
    sentences = [sentence for outcome in outcomes for sentence in outcome.sentences]
    ours = [sentence for sentence in sentences if any(_names(sentence, case) for case in cases)]
    if ours:
        shown = "; ".join(ours[:_SHOWN]) + ("; …" if len(ours) > _SHOWN else "")
        raise InputError(f"the gate refuses the new labels ({shown}); expected masks that pass, nothing was imported")
    return sentences


def _names(sentence: str, case: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(case)}(?![\w-])", sentence) is not None
