from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from sss_model.checkpoint import load_checkpoint
from sss_model.errors import InputError
from sss_model.network.base import ClipBatch


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))


def test_a_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    assert loaded.meta.labels == {"background": 0, "cavity": 1, "wall": 2, "crescent": 3}
    assert loaded.meta.steps == 4
    assert loaded.meta.data_version == "0" * 32
    assert len(loaded.meta.patients.labelled) == 1
    assert set(loaded.meta.patients.labelled) < set(loaded.meta.patients.unlabelled)
    assert not set(loaded.meta.patients.validation) & set(loaded.meta.patients.unlabelled)
    assert loaded.history["val_dice"].notna().sum() == 2
    assert loaded.network()(ClipBatch(torch.zeros(1, 3, 64, 64))).logits.shape == (1, 4, 64, 64)


def test_another_configuration_is_refused(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text())
    meta["config"]["model"]["decoder_channels"] = 16
    (copy / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"does not fit the network that meta\.json describes \(micro, 16 decoder"):
        load_checkpoint(copy).network()


def test_a_recipe_of_another_version_is_refused(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text())
    meta["config"]["predict"]["largest"] = meta["config"]["predict"].pop("largest_component")
    (copy / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(
        InputError, match=r"meta\.json: a checkpoint of another version \(recipe: unknown key predict\."
    ):
        load_checkpoint(copy)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint there; expected a folder with weights\.pt and meta\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["weights.pt", "history.csv"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"{name}: (missing from the checkpoint|no such checkpoint)"):
        load_checkpoint(copy)


def test_damaged_weights_are_refused(copy: Path) -> None:
    path = copy / "weights.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"weights\.pt: damaged, or not a file that holds only weights"):
        load_checkpoint(copy)


@pytest.mark.parametrize("text", ["{}", "not json", '{"method": 3}'])
def test_a_meta_that_is_none_of_ours_is_refused(copy: Path, text: str) -> None:
    (copy / "meta.json").write_text(text)
    with pytest.raises(InputError, match=r"meta\.json: .*; expected the meta\.json of a checkpoint"):
        load_checkpoint(copy)
