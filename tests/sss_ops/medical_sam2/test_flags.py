"""Every flag of Medical-SAM2 is taken with its meaning, or refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from sss_model.config import Config
from sss_model.errors import InputError
from sss_ops.medical_sam2 import run as command_line
from sss_ops.medical_sam2.flags import FLAGS, parser, read_flags
from sss_ops.medical_sam2.settings import settled
from tests.sss_ops.medical_sam2.conftest import LINES

# cfg.py's, at Medical-SAM2's commit 18b0f5b.
THEIRS = {
    "net": "sam2", "encoder": "vit_b", "exp_name": "samba_train_test", "vis": "False", "train_vis": "False",
    "prompt": "bbox", "prompt_freq": "2", "pretrain": "None", "val_freq": "5", "gpu": "True", "gpu_device": "0",
    "image_size": "1024", "out_size": "1024", "distributed": "none", "dataset": "btcv", "sam_ckpt": "None",
    "sam_config": "None", "video_length": "2", "b": "1", "lr": "1e-4", "weights": "0", "multimask_output": "1",
    "memory_bank_size": "16", "data_path": "./data/btcv",
}  # fmt: skip
OURS = {"labelled", "steps", "minutes", "method"}
# Told by what a run does: see test_command_lines.py, test_raw.py, and the tests of their own below.
ELSEWHERE = {"exp_name", "vis", "prompt", "prompt_freq", "val_freq", "gpu", "gpu_device", "dataset", "data_path"}
MAPPED: list[tuple[str, str, dict[str, Any]]] = [
    ("image_size", "512", {"data.size": 512, "data.spacing_mm": 0.8}),
    ("sam_config", "sam2_hiera_b+", {"model.encoder": "base_plus", "model.version": "2.0"}),
    ("sam_config", "sam2.1_hiera_l", {"model.encoder": "large", "model.version": "2.1"}),
    ("sam_config", "sam2_hiera_micro", {"model.encoder": "micro", "train.minutes": 15}),
    ("sam_ckpt", __file__, {"model.checkpoint": __file__}),
    ("sam_ckpt", "None", {"model.checkpoint": None}),
    ("video_length", "6", {"sss.clip": 6}),
    ("b", "3", {"train.batch": 12, "train.unlabelled_batch": 12, "train.micro_batch": 4}),
    ("lr", "3e-4", {"train.lr": 3e-4, "train.encoder_lr": 3e-4}),
    ("memory_bank_size", "8", {"sss.bank": 8}),
    ("labelled", "3", {"data.labelled": 3}),
    ("steps", "7", {"train.steps": 7, "train.minutes": None}),
    ("minutes", "1.5", {"train.steps": None, "train.minutes": 1.5}),
    ("method", "supervised", {"train.method": "supervised"}),
]
REFUSED = [
    ("net", "unet", "this trains SAM-2 alone; expected sam2"),
    ("encoder", "vit_h", "chosen by -sam_config; expected vit_b"),
    ("train_vis", "1", "no pictures are drawn in training"),
    ("pretrain", "old.pth", "SAM-2's are given by -sam_ckpt"),
    ("out_size", "256", "expected 1024, as the image"),
    ("distributed", "0,1", "several take `torchrun"),
    ("weights", "best.pth", "`sss evaluate"),
    ("multimask_output", "3", "an object has one mask; expected 1"),
    ("sam_ckpt", "checkpoints/sam2_hiera_small.pt", "`sss checkpoint get sam2_hiera_small --to checkpoints`"),
    ("sam_config", "sam2_hiera_xl", "expected one of sam2_hiera_t"),
    ("dataset", "REFUGE", "REFUGE is for train_2d.py; expected one of btcv"),
    ("dataset", "mine", "expected one of REFUGE, btcv"),
    ("image_size", "100", "a multiple of 32"),
    ("b", "0", "a whole number above 0"),
    ("lr", "nan", "a number above 0"),
    ("vis", "maybe", "expected 1 or 0"),
    ("exp_name", "../else", "expected a name"),
    ("prompt", "scribble", "expected one of bbox, click"),
    ("method", "magic", "expected one of supervised"),
]


def config_of(*words: str) -> Config:
    return settled(read_flags(3, words), gpu=False)


def value_at(config: Config, dotted: str) -> Any:
    section, key = dotted.split(".")
    return getattr(getattr(config, section), key)


def test_the_table_has_every_flag_of_medical_sam2_with_its_default_and_ours() -> None:
    assert {flag.name: flag.default for flag in FLAGS} == THEIRS | dict.fromkeys(OURS)


def test_every_flag_is_mapped_or_refused_by_a_test() -> None:
    tested = {name for name, *_ in MAPPED} | {name for name, *_ in REFUSED} | ELSEWHERE
    assert tested == THEIRS.keys() | OURS


@pytest.mark.parametrize(("name", "word", "expected"), MAPPED)
def test_a_flag_becomes_what_the_table_says(name: str, word: str, expected: dict[str, Any]) -> None:
    config, without = config_of(f"-{name}", word), config_of()
    assert {key: value_at(config, key) for key in expected} == pytest.approx(expected)
    if word not in ("None",):
        assert config != without


@pytest.mark.parametrize(("name", "word", "reason"), REFUSED)
def test_what_is_refused_is_refused_with_its_reason(name: str, word: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        config_of(f"-{name}", word)
    assert str(refused.value).startswith(f"-{name}: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_medical_sam2s_own_default_is_taken(flag: Any) -> None:
    if flag.default not in (None, "None") and flag.name != "b":
        assert read_flags(3, [f"-{flag.name}", flag.default])[flag.name] == flag.read(flag.default)


def test_false_is_false() -> None:
    assert read_flags(3, ["-vis", "False"])["vis"] is False


def test_photographs_take_no_clips_and_come_in_pairs() -> None:
    with pytest.raises(InputError, match="-video_length: photographs make no clips"):
        read_flags(2, ["-dataset", "REFUGE", "-video_length", "2"])
    with pytest.raises(InputError, match="-b: 3 photographs; expected an even number"):
        settled(read_flags(2, ["-dataset", "REFUGE", "-b", "3"]), gpu=False)
    assert settled(read_flags(2, ["-dataset", "REFUGE", "-b", "4"]), gpu=False).train.batch == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-steps", "2", "-minutes", "1"), "-steps and -minutes: both are given"),
        (("-image-size", "64"), "unrecognized arguments: -image-size 64"),
        (("-b",), "-b: expected one argument"),
    ],
)
def test_words_that_make_no_command_line_end_in_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_flags(3, words)


@pytest.mark.parametrize("name", LINES)
def test_the_papers_command_lines_start_from_the_gpu_recipe_of_their_data(
    name: str, words: Callable[..., list[str]]
) -> None:
    dimensions, _ = LINES[name]
    config = settled(read_flags(dimensions, words(name, sam_ckpt=__file__)), gpu=False)
    assert (config.data.name, config.data.size, config.data.labelled) == (name.lower(), 1024, None)
    assert (config.model.encoder, config.model.version, config.train.method) == ("small", "2.0", "sss")
    assert config.train.micro_batch == 4


def test_the_small_encoder_has_recipes_for_cpus() -> None:
    chosen = read_flags(3, ["-sam_config", "sam2_hiera_micro"])
    assert [settled(chosen, gpu=gpu).train.minutes for gpu in (False, True)] == [15, None]


def test_pictures_larger_than_the_recipes_pass_in_micro_batches() -> None:
    small, large = (config_of("-sam_config", "sam2_hiera_micro", "-image_size", side) for side in ("128", "1024"))
    assert (small.train.micro_batch, large.train.micro_batch, large.predict.batch) == (None, 4, 4)


def test_a_gpu_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(ours: str, **chosen: Any) -> str:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ours)
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
        command_line._see_gpu(chosen)
        return os.environ["CUDA_VISIBLE_DEVICES"]

    assert seen("", gpu_device=1) == "1"
    assert seen("4,6", gpu_device=1) == "6"
    assert seen("4,6", gpu=False, gpu_device=1) == ""
    assert seen("4,6") == "4,6"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="-gpu_device: no GPU 3 is seen"):
        command_line._see_gpu({"gpu_device": 3})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with pytest.raises(InputError, match="-gpu_device: 2 is none of the 2 GPUs"):
        command_line._see_gpu({"gpu_device": 2})


def test_help_names_every_flag() -> None:
    text = parser(2).format_help()
    assert all(f"-{flag.name} " in text for flag in FLAGS)


@pytest.mark.parametrize("script", ["train_2d.py", "train_3d.py"])
def test_the_scripts_end_with_exit_code_2_and_one_sentence(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / script), "-net", "unet"]
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: -net: this trains SAM-2 alone; expected sam2, or nothing\n"
    assert not any(tmp_path.iterdir())
