"""The model card: purpose, scores, failures, limits, licence and origin of a model, in one page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.files import write_atomically

if TYPE_CHECKING:
    from sss_model.checkpoint import Checkpoint
    from sss_model.evaluation.metrics import Score

_SSS = (
    "Zhu et al., SSS: Semi-Supervised SAM-2 with Efficient Prompting for Medical Imaging Segmentation, "
    "Biomedical Signal Processing and Control 2026, arXiv 2506.08949"
)
_SAM2 = "Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv 2408.00714"
_UNET = "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015"
_FIXMATCH = "Sohn et al., FixMatch, NeurIPS 2020, arXiv 2001.07685"
_UNIMATCH = "Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023"
_MEDICAL_SAM2 = (
    "Zhu et al., Medical SAM 2: Segment Medical Images as Video via Segment Anything Model 2, arXiv 2408.00874"
)

_OF_METHOD: dict[str, tuple[str, ...]] = {
    "supervised": (),
    "weak_to_strong": (_FIXMATCH,),
    "unimatch": (_UNIMATCH,),
    "sss": (_UNIMATCH, _MEDICAL_SAM2),
}

MOST_CASES = 5
MOST_STRUCTURES = 2
"""Of a case, in the list of failures."""
FEW_PATIENTS = 30
"""Test patients below which a card warns of its own intervals."""


def citations(*, method: str, network: str, data: str) -> list[str]:
    """The works to cite for a model, its data first.

    Args:
        method, network: the recipe's ``train.method`` and ``model.network``.
        data: citation in ``dataset.json``; may be empty.
    """
    known = [data.strip(), _SSS, _SAM2 if network == "sam2" else _UNET, *_OF_METHOD[method]]
    return [text for text in known if text]


def failure_cases(scores: Sequence[Score], *, most: int = MOST_CASES) -> list[str]:
    """A sentence for each of the worst cases of an evaluation, the worst first.

    A case ranks by its worst structure: structures missed or invented first, the largest before the others, then by
    Dice.

    Args:
        scores: rows of one evaluation.
        most: cases to name.
    """
    cases: dict[str, list[Score]] = {}
    for score in sorted((score for score in scores if score.dice is not None), key=_rank):
        cases.setdefault(score.case, []).append(score)
    return [_sentence(rows[:MOST_STRUCTURES]) for rows in list(cases.values())[:most]]


def _rank(score: Score) -> tuple[bool, float, float]:
    if score.status == "scored":
        return True, score.dice or 0.0, -abs(score.volume_error_ml)
    return False, 0.0, -abs(score.volume_error_ml)


def _sentence(rows: Sequence[Score]) -> str:
    group = f" ({rows[0].group})" if rows[0].group else ""
    return f"{rows[0].case}{group}: {'; '.join(map(_failure, rows))}"


def _failure(score: Score) -> str:
    if score.status == "missed":
        return f"{score.class_name} missed, {_millilitres(score.truth_ml)} in the label"
    if score.status == "invented":
        return f"{score.class_name} invented, {_millilitres(score.predicted_ml)} that the label does not show"
    return (
        f"{score.class_name} Dice {score.dice:.3f}, HD95 {score.hd95_mm:.1f} mm, "
        f"{_millilitres(score.predicted_ml)} instead of {_millilitres(score.truth_ml)}"
    )


def _millilitres(volume: float) -> str:
    return f"{volume:.1f} ml" if volume >= 1 else f"{volume:.2g} ml"


def write_card(
    path: Path,
    *,
    model: str,
    trained: Checkpoint,
    scores: dict[str, Any],
    rows: Sequence[Score],
    data: dict[str, Any],
) -> None:
    """Write the card of a model, whole or not at all.

    Args:
        path: Markdown file.
        model: name it is registered under.
        trained: its checkpoint.
        scores: content of ``summary.json``.
        rows: content of ``cases.csv``.
        data: content of ``data_version.json``.
    """

    train, network = trained.config.train, trained.config.model.network
    page = _template().render(
        model=model,
        structures=[name for name, value in trained.meta.labels.items() if value],
        meta=trained.meta,
        config=trained.config,
        scores=scores,
        intervals=scores.get("intervals", {}),
        volumes=scores.get("volumes_ml", {}),
        failures=failure_cases(rows),
        structures_scored=sum(row.status != "not_applicable" for row in rows),
        channel=_channel(data),
        data={"licence": "", **data},
        few=scores["patients"] < FEW_PATIENTS,
        citations=citations(method=train.method, network=network, data=data.get("citation", "")),
    )
    write_atomically(path, page.encode())


def _channel(data: dict[str, Any]) -> str:
    """The modality, such as ``MRI``; empty where the data set doesn't say."""
    channel = str(data.get("channel", ""))
    return "" if channel == "image" else channel


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sss_ops.serving"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=_number, among=_among, listed=_listed, counted=_counted, mm=_mm)
    return environment.get_template("model_card.md")


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _among(value: float | None, interval: dict[str, float] | None, digits: int = 3) -> str:
    """A mean and its interval, ``0.801 (0.746–0.853)``."""
    if value is None or not interval:
        return _number(value, digits)
    return f"{_number(value, digits)} ({_number(interval['low'], digits)}–{_number(interval['high'], digits)})"


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _counted(number: int, noun: str) -> str:
    """``1 scan``, ``2 scans``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _mm(seen: tuple[float, float], digits: int = 2) -> str:
    """A range in millimetres, one number where both ends are the same."""
    low, high = (f"{round(value, digits):g}" for value in seen)
    return f"{low} mm" if low == high else f"{low} to {high} mm"


def shorten_markdown(text: str, *, most: int, rest: str) -> str:
    """Shorten a Markdown text to whole paragraphs, list items and table rows, then the sentence `rest`.

    Args:
        most: characters of the result; a text that fits is returned as it is.
        rest: says where the whole text is.

    >>> shorten_markdown("# A\\n\\nOne.\\n\\nTwo, which is longer.\\n", most=24, rest="More: B.")
    '# A\\n\\nOne.\\n\\nMore: B.\\n'
    """
    if len(text) <= most:
        return text
    room = most - len(rest) - 3
    kept: list[str] = []
    for block in text.strip().split("\n\n"):
        part = _that_fits(block, room)
        kept += [part] if part else []
        room -= len(part) + 2
        if part != block:
            break
    # A heading at the end announces a paragraph that was left out.
    while kept and kept[-1].startswith("#") and len(kept) > 1:
        kept.pop()
    return "\n\n".join([*kept, rest]) + "\n"


def _that_fits(block: str, room: int) -> str:
    """A block, or its first rows or items that fit, or nothing."""
    if len(block) <= room:
        return block
    kept: list[str] = []
    for line in block.split("\n"):
        if not line.startswith(("|", "- ")):
            break  # a sentence may go on in this line
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    # A table's two first lines are its head.
    return "\n".join(kept) if len(kept) > (2 if block.startswith("|") else 0) else ""
