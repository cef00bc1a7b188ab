"""Flags of the two command lines: their meaning, and their translation into a recipe.

``python -m sss_ops.medical_sam2.flags`` prints the table as docs/reference/medical-sam2-flags.md shows it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sss_model.config import Method
from sss_model.errors import InputError

SIDE = 32
"""Downsampling factor of SAM-2's encoder."""


def whole(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number above 0")
    return int(text)


def index(text: str) -> int:
    """A whole number from 0."""
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number from 0")
    return int(text)


def side(text: str) -> int:
    """The side of a picture in pixels, which the encoder can halve."""
    if whole(text) % SIDE:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected pixels, a multiple of {SIDE}")
    return int(text)


def above_zero(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    # A number that is not one is not above zero either.
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a number above 0")
    return number


def truth(text: str) -> bool:
    """1 or True, 0 or False. In Medical-SAM2 any text is true, False among them."""
    words = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected 1 or 0")
    return words[text.lower()]


def run_name(text: str) -> str:
    """A name that can be a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a name of letters, digits, and any of . _ + -")
    return text


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """One of some names, in any case; gives it as it is spelled in `names`."""
    spelled = {name.lower(): name for name in names}

    def read(text: str) -> str:
        if text.lower() not in spelled:
            raise argparse.ArgumentTypeError(f"found {text!r}; expected one of {', '.join(names)}")
        return spelled[text.lower()]

    return read


PHOTOGRAPHS = ("REFUGE",)
"""What train_2d.py trains on."""
VOLUMES = ("btcv", "ACDC", "bhsd")
"""What train_3d.py trains on."""
CONFIGS = {
    f"{release}_hiera_{letter}": (encoder, version)
    for release, version in (("sam2", "2.0"), ("sam2.1", "2.1"))
    for letter, encoder in {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}.items()
} | {"sam2_hiera_micro": ("micro", "2.1")}
"""``-sam_config`` to the recipe's ``model.encoder`` and ``model.version``; the last is ours."""


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        read: makes a value of the text that follows the flag.
        default: what Medical-SAM2 takes where the flag is not given; None for a flag of ours.
        becomes: what the value turns into here, and, where it may be refused, when.
        keys: the recipe's keys that the value is set at as it is; none for a flag with a rule of its own.
        only: the one value that is taken; None where all are.
        refusal: why any other is not.
        dimensions: of the scripts that take it: 2, 3 or both; the other refuses it by `refusal`.
    """

    name: str
    read: Callable[[str], Any]
    default: str | None
    meaning: str
    becomes: str
    keys: tuple[str, ...] = ()
    only: Any = None
    refusal: str = ""
    dimensions: tuple[int, ...] = (2, 3)


# fmt: off
FLAGS = (
    Flag("net", str, "sam2", "network", "`sam2` is taken, another refused",
         only="sam2", refusal="this trains SAM-2 alone"),
    Flag("encoder", str, "vit_b", "image encoder of other networks", "`vit_b`, which SAM-2 never read, is taken, "
         "another refused", only="vit_b", refusal="SAM-2's encoder is chosen by -sam_config"),
    Flag("exp_name", run_name, "samba_train_test", "name of the run", "the folder `runs/EXP_NAME`"),
    Flag("vis", truth, "False", "save pictures of the validation", "`1` says where the pictures of all test scans are; "
         "they are always drawn, since the report shows them"),
    Flag("train_vis", truth, "False", "save pictures of the training", "`0` is taken, `1` refused",
         only=False, refusal="no pictures are drawn in training; -vis 1 has those of the test scans"),
    Flag("prompt", one_of(("bbox", "click")), "bbox", "prompt from the label at test time",
         "none prompts the Dice that counts; `bbox` with `-method sss` measures an oracle-prompted one beside it"),
    Flag("prompt_freq", whole, "2", "a prompt on every so many slices", "the same, for the oracle-prompted Dice"),
    Flag("pretrain", str, "None", "weights of Medical-SAM2 to go on from", "refused, but for `None`",
         only="None", refusal="weights of Medical-SAM2's own training don't fit; SAM-2's are given by -sam_ckpt"),
    Flag("val_freq", whole, "5", "epochs between validations", "`train.val_every`, in steps: an epoch is as many as "
         "show as many slices as have labels"),
    Flag("gpu", truth, "True", "use a GPU", "`0` hides all GPUs"),
    Flag("gpu_device", index, "0", "number of the GPU", "the one GPU that is seen"),
    Flag("image_size", side, "1024", "side of the network's pictures", "`data.size`; `data.spacing_mm` follows, so "
         "that the field of view stays"),
    Flag("out_size", side, "1024", "side of the network's masks", "the same as the image size is taken, another "
         "refused: the loss is at that size, and masks are written on the scan's own grid"),
    Flag("distributed", str, "none", "GPUs of one process", "refused, but for `none`", only="none",
         refusal="this trains on one GPU; several take `torchrun -m sss_ops train`"),
    Flag("dataset", one_of((*PHOTOGRAPHS, *VOLUMES)), "btcv", "data set", "the recipe, and the layout of `-data_path`"),
    Flag("sam_ckpt", Path, "None", "SAM-2's weights", "`model.checkpoint`; random weights where it is not given"),
    Flag("sam_config", one_of(tuple(CONFIGS)), "None", "SAM-2's configuration", "`model.encoder` and `model.version`; "
         "`sam2_hiera_micro` is ours, an encoder of 2 M parameters for CPUs"),
    Flag("video_length", whole, "2", "slices of a training clip", "`sss.clip`; refused for photographs",
         keys=("sss.clip",), dimensions=(3,), refusal="photographs make no clips"),
    Flag("b", whole, "1", "batch size", "`train.batch` and `train.unlabelled_batch`: photographs, an even number of "
         "them, or, of volumes, clips. Memory is bounded by `train.micro_batch` alone"),
    Flag("lr", above_zero, "1e-4", "learning rate of the whole network", "`train.lr` and `train.encoder_lr`, in 3-D "
         "too, where Medical-SAM2 takes its own", keys=("train.lr", "train.encoder_lr")),
    Flag("weights", str, "0", "weights to test", "refused, but for `0`", only="0",
         refusal="a checkpoint is tested by `sss evaluate --checkpoint FOLDER`"),
    Flag("multimask_output", str, "1", "masks an object", "`1` is taken, another refused", only="1",
         refusal="an object has one mask"),
    Flag("memory_bank_size", whole, "16", "memories of the bank", "`sss.bank`, for every class and in 3-D too",
         keys=("sss.bank",)),
    Flag("data_path", Path, "./data/btcv", "the data set's folder", "read in place, never written to: see below"),
    Flag("labelled", whole, None, "training patients, in label order, that lend their labels", "`data.labelled`; all "
         "of them where it is not given"),
    Flag("steps", whole, None, "budget in steps", "`train.steps`; not together with `-minutes`"),
    Flag("minutes", above_zero, None, "budget in minutes", "`train.minutes`; not together with `-steps`"),
    Flag("method", one_of(get_args(Method)), None, "how it learns", "`train.method`", keys=("train.method",)),
)
# fmt: on


def read_flags(dimensions: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Read the arguments of a script.

    Args:
        dimensions: 2 for ``train_2d.py``, 3 for ``train_3d.py``.
        arguments: the words after the script's name.

    Returns:
        Value by name, of the flags that were given alone, but for ``exp_name``, ``dataset`` and ``data_path``, which
        have Medical-SAM2's defaults.

    Raises:
        InputError: an unknown flag, a value that can't be read, or one that is refused, with the reason.
        SystemExit: 0, after ``-h``.
    """
    given = vars(parser(dimensions).parse_args(arguments))
    for flag in FLAGS:
        if flag.name in given:
            _refuse(flag, given[flag.name], dimensions)
    _refuse_together(given)
    needed = {name: _flag(name).read(str(_flag(name).default)) for name in ("exp_name", "dataset", "data_path")}
    chosen = needed | given
    wanted, other = (PHOTOGRAPHS, "train_3d.py") if dimensions == 2 else (VOLUMES, "train_2d.py")
    if chosen["dataset"] not in wanted:
        raise InputError(f"-dataset: {chosen['dataset']} is for {other}; expected one of {', '.join(wanted)}")
    return chosen


def parser(dimensions: int) -> argparse.ArgumentParser:
    """The command line of a script, with a help of its own."""
    made = _Parser(
        prog=f"train_{dimensions}d.py",
        description="Train and evaluate SSS by Medical-SAM2's command line. What is not given is the recipe's.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for flag in FLAGS:
        text = f"{flag.meaning}: {flag.becomes}".replace("`", "").replace("%", "%%")
        made.add_argument(f"-{flag.name}", type=flag.read, metavar=flag.name.upper(), help=text)
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise InputError(f"{message.removeprefix('argument ')} ({self.prog} -h shows all flags)")


def _refuse(flag: Flag, value: Any, dimensions: int) -> None:
    if dimensions not in flag.dimensions:
        raise InputError(f"-{flag.name}: {flag.refusal}; expected none with train_{dimensions}d.py")
    if flag.only is not None and value != flag.only:
        expected = int(flag.only) if isinstance(flag.only, bool) else flag.only
        raise InputError(f"-{flag.name}: {flag.refusal}; expected {expected}, or nothing")


def _refuse_together(given: dict[str, Any]) -> None:
    if {"steps", "minutes"} <= given.keys():
        raise InputError("-steps and -minutes: both are given; expected one budget")


def _flag(name: str) -> Flag:
    return next(flag for flag in FLAGS if flag.name == name)


def flag_table(flags: Iterable[Flag] = FLAGS) -> list[str]:
    """The flags as the lines of a Markdown table."""
    rows = [
        f"| `-{flag.name}` | {f'`{flag.default}`' if flag.default else 'ours'} | {flag.meaning} | {flag.becomes} |"
        for flag in flags
    ]
    return ["| flag | Medical-SAM2's default | meaning | what it becomes |", "|---|---|---|---|", *rows]


if __name__ == "__main__":
    print("\n".join(flag_table()))
