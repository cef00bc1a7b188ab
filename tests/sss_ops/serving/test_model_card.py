"""What a reader of a model card finds in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.scores import score

from sss_model.checkpoint import load_checkpoint
from sss_model.evaluation.tables import read_scores
from sss_ops.serving.model_card import _mm, citations, failure_cases, shorten_markdown, write_card
from sss_ops.serving.package import DESCRIPTION_LENGTH

DATA = {
    **{"name": "acdc", "version": "0" * 32, "channel": "MRI", "licence": "CC BY-NC-SA 4.0"},
    "citation": "Bernard et al., Is the Problem Solved?, 2018",
}


@pytest.fixture
def card(evaluated: Path, checkpoint: Path, tmp_path: Path) -> str:
    write_card(tmp_path / "card.md", **facts(evaluated, checkpoint))
    return (tmp_path / "card.md").read_text()


def facts(evaluated: Path, checkpoint: Path) -> dict[str, Any]:
    return {
        "model": "heart",
        "trained": load_checkpoint(checkpoint),
        "scores": json.loads((evaluated / "evaluation/summary.json").read_text()),
        "rows": read_scores(evaluated / "evaluation/cases.csv"),
        "data": DATA,
    }


def test_it_has_all_that_a_card_must_have(card: str) -> None:
    headings = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        *("Intended use", "How good", "Where it fails", "Limits", "Licence and citations", "Data and training"),
    ]
    assert "Segments cavity, wall and crescent in MRI scans like those of the data set acdc" in card
    assert "not a medical device" in card
    assert "CC BY-NC-SA 4.0" in card
    for text in (DATA["citation"], "arXiv 2506.08949", "SAM 2: Segment Anything in Images and Videos", "FixMatch"):
        assert f"- {text}" in card or text in card


def test_its_numbers_have_intervals_and_it_names_cases(card: str, evaluated: Path) -> None:
    scores = json.loads((evaluated / "evaluation/summary.json").read_text())
    mean = scores["intervals"]["dice"]
    expected = f"{scores['dice']:.3f}"
    if mean:
        expected += f" ({mean['low']:.3f}–{mean['high']:.3f})"
    assert f"| **mean** | {expected} |" in card
    case = read_scores(evaluated / "evaluation/cases.csv")[0].case
    assert case.split("_")[0] in card


def test_it_says_where_training_saw_nothing_and_leaves_no_gaps(card: str, checkpoint: Path) -> None:
    seen = load_checkpoint(checkpoint).meta.fingerprint
    assert seen is not None
    assert f"pixels of {seen.pixel_mm[0]:.2f}".rstrip("0") in card
    assert "\n\n\n" not in card
    assert "None" not in card
    assert len(card) < DESCRIPTION_LENGTH


def test_a_range_keeps_the_zeros_that_count() -> None:
    assert _mm((229.9999, 480.0), 0) == "230 to 480 mm"
    assert _mm((5.0, 10.0)) == "5 to 10 mm"


def test_the_worst_come_first_and_say_what_went_wrong() -> None:
    rows = [
        score("a", "wall", 0.9),
        score("e", "cavity", 0.7, hd95_mm=3.0),
        score("e", "crescent", 0.8),
        score("b", "wall", 0.4, group="DCM", hd95_mm=21.26, truth_ml=100.0, predicted_ml=61.5, volume_error_ml=-38.5),
        score("c", "wall", None),
        score("d", "wall", 0.0, status="invented", predicted_ml=0.256, volume_error_ml=0.256),
        score("e", "wall", 0.0, status="missed", truth_ml=12.34, volume_error_ml=-12.34),
    ]
    assert failure_cases(rows, most=3) == [
        "e: wall missed, 12.3 ml in the label; cavity Dice 0.700, HD95 3.0 mm, 107.0 ml instead of 100.0 ml",
        "d: wall invented, 0.26 ml that the label does not show",
        "b (DCM): wall Dice 0.400, HD95 21.3 mm, 61.5 ml instead of 100.0 ml",
    ]
    assert len(failure_cases(rows)) == 4


@pytest.mark.parametrize(
    ("method", "network", "named"),
    [
        ("sss", "sam2", ["arXiv 2506.08949", "SAM 2:", "Medical SAM 2"]),
        ("unimatch", "unet", ["arXiv 2506.08949", "U-Net", "Weak-to-Strong"]),
        ("supervised", "sam2", ["arXiv 2506.08949", "SAM 2:"]),
    ],
)
def test_whose_work_it_is_depends_on_what_was_trained(method: str, network: str, named: list[str]) -> None:
    texts = citations(method=method, network=network, data="")
    assert all(any(name in text for text in texts) for name in named)
    assert ("SAM 2: Segment Anything" in " ".join(texts)) == (network == "sam2")


REST = "The rest is elsewhere."
TABLE = "| a | b |\n|---|---|\n" + "\n".join(f"| {number} | {number} |" for number in range(20))
ITEMS = "\n".join(f"- Item {number} is one. It has two sentences." for number in range(20))
PROSE = "One sentence here. Another\nover two lines. A third one."
CARD = f"# Name\n\n{PROSE}\n\n## A table\n\n{TABLE}\n\n## A list\n\n{ITEMS}\n\n## The end\n\n{PROSE}\n"


def test_what_fits_is_left_as_it_is() -> None:
    assert shorten_markdown(CARD, most=len(CARD), rest=REST) == CARD


@pytest.mark.parametrize("most", range(110, len(CARD), 7))
def test_what_does_not_fit_ends_at_a_paragraph_an_item_or_a_row(most: int) -> None:
    text = shorten_markdown(CARD, most=most, rest=REST)
    assert len(text) <= most
    assert text.endswith(f"\n\n{REST}\n")
    kept = text.removesuffix(f"\n\n{REST}\n")
    assert CARD.startswith(kept)
    last = kept.split("\n")[-1]
    assert kept.endswith(PROSE) or last in TABLE.split("\n")[2:] or last in ITEMS.split("\n")


def test_as_much_as_there_is_room_for_is_kept() -> None:
    most = len(CARD) - len(PROSE) + len(REST)
    assert shorten_markdown(CARD, most=most, rest=REST).count("- Item") == 20
