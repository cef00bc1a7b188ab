"""Pretrained weights: names in `model.checkpoint`, refusals before a download, trainings that start from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.file_server import FileServer
from support.sam2_checkpoints import write_checkpoint

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config, Model
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_ops import recipe as recipes
from sss_ops.steps import train_distributed
from sss_ops.steps.train import identity_of_training
from sss_ops.storage import published
from sss_ops.storage.pretrained import pretrained_file
from sss_ops.storage.published import Published

Train = Callable[..., int]


@pytest.fixture
def model(recipe: Callable[..., Config]) -> Callable[..., Model]:
    def make(checkpoint: str | None, **changes: Any) -> Model:
        return recipe().model.model_copy(update={"encoder": "small", "checkpoint": checkpoint, **changes})

    return make


def test_no_checkpoint_is_no_file(model: Callable[..., Model]) -> None:
    assert pretrained_file(model(None)) is None


@pytest.mark.parametrize("name", ["small", "sam2.1_hiera_small", "sam2.1_hiera_small.pt"])
def test_a_known_name_is_fetched_and_checked(web: FileServer, model: Callable[..., Model], name: str) -> None:
    assert pretrained_file(model(name), Path("kept")) == Path("kept/sam2.1_hiera_small.pt")
    assert len(web.asked) == 1
    Path("kept/sam2.1_hiera_small.pt").write_bytes(b"cut short")
    with pytest.raises(InputError, match=r"kept/sam2\.1_hiera_small\.pt: 9 bytes; expected the 5242880 of Meta's"):
        pretrained_file(model(name), Path("kept"))


def test_a_size_means_the_recipes_version(web: FileServer, model: Callable[..., Model]) -> None:
    with pytest.raises(InputError, match=r"/072824/sam2_hiera_small\.pt: the server answers 404"):
        pretrained_file(model("small", version="2.0"))


def test_a_file_of_ones_own_is_taken_as_it_is(model: Callable[..., Model], tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"anything")
    assert pretrained_file(model(str(tmp_path / "own.pt"))) == tmp_path / "own.pt"


def test_a_file_called_as_one_of_metas_must_be_it(web: FileServer, model: Callable[..., Model]) -> None:
    (content,) = web.files.values()
    path = Path("sam2.1_hiera_small.pt")
    path.write_bytes(content)
    assert pretrained_file(model(str(path))) == path
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError, match=r"sam2\.1_hiera_small\.pt: its SHA-256 is .*; expected"):
        pretrained_file(model(str(path)))
    assert web.asked == []


@pytest.mark.parametrize(
    ("checkpoint", "changes"),
    [
        ("small", {"encoder": "micro"}),
        ("sam2.1_hiera_tiny", {}),
        ("sam2_hiera_small", {}),
        ("somewhere/sam2.1_hiera_large.pt", {}),
        ("s3://bucket/sam2.1_hiera_large.pt", {}),
    ],
)
def test_weights_of_another_encoder_are_refused_before_they_are_fetched(
    web: FileServer, model: Callable[..., Model], checkpoint: str, changes: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=r"model\.checkpoint: .* is for the encoder .*, the recipe has .*; expected"):
        pretrained_file(model(checkpoint, **changes))
    assert web.asked == []


@pytest.mark.parametrize("checkpoint", ["huge", "nowhere/own.pt", "https://example.com/own.pt"])
def test_what_is_nothing_known_is_refused(web: FileServer, model: Callable[..., Model], checkpoint: str) -> None:
    with pytest.raises(InputError, match=r"no such checkpoint; expected a file, s3://BUCKET/KEY, tiny, small"):
        pretrained_file(model(checkpoint))
    assert web.asked == []


def test_a_form_that_asks_for_weights_of_another_encoder_is_refused_in_the_first_step() -> None:
    with pytest.raises(InputError, match="expected both alike"):
        recipes.recipe_of_run("phantom", {"checkpoint": "small"})
    assert recipes.recipe_of_run("phantom", {"checkpoint": "small", "encoder": "small"}).model.checkpoint == "small"


def test_the_table_names_every_size_of_both_versions_once() -> None:
    table = published.PUBLISHED
    sizes = ["tiny", "small", "base_plus", "large"]
    assert [(known.version, known.encoder) for known in table] == [(v, s) for v in ("2.0", "2.1") for s in sizes]
    assert len({known.sha256 for known in table}) == len({known.size for known in table}) == len(table)
    for known in table:
        assert published.find_published(known.encoder, known.version) is published.find_published(known.name) is known
        assert len(known.sha256) == 64


def test_a_training_fetches_the_weights_that_the_recipe_names_and_starts_from_them(
    web: FileServer, sss_train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_checkpoint(tmp_path / "made.pt", "tiny", "2.1")
    digest = sha256(path)
    tiny = Published("tiny", "2.1", "sam2.1_hiera_tiny.pt", "092824", path.stat().st_size, digest)
    monkeypatch.setattr(published, "PUBLISHED", (tiny,))
    web.files = {"/092824/sam2.1_hiera_tiny.pt": path.read_bytes()}
    settings = {"model.encoder": "tiny", "model.checkpoint": "tiny", "model.freeze_encoder": True, "train.steps": 1}
    assert sss_train(settings) == 0
    assert sha256(Path("checkpoints/sam2.1_hiera_tiny.pt")) == digest
    trained = load_checkpoint(Path("checkpoint"))
    assert (trained.config.model.checkpoint, trained.meta.pretrained_sha256) == ("tiny", digest)
    encoder = [value for name, value in trained.weights.items() if name.startswith("encoder.")]
    assert len(encoder) > 100
    assert all((value == 0.5).all() for value in encoder)


class Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was_run",)


def write_malicious(path: Path) -> None:
    torch.save({"model": {"image_encoder.x": Payload()}}, path)


def write_half(path: Path) -> None:
    torch.save({"model": {"image_encoder.x": torch.zeros(10_000)}}, path)
    path.write_bytes(path.read_bytes()[:20_000])


def write_other_keys(path: Path) -> None:
    torch.save({"model": {"backbone.x": torch.zeros(1)}}, path)


def write_other_size(path: Path) -> None:
    write_checkpoint(path, "small", "2.1")


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (write_malicious, "damaged, or not a file that holds only weights; expected a checkpoint"),
        (write_half, "damaged, or not a file that holds only weights; expected a checkpoint"),
        (
            write_other_keys,
            "no image_encoder.* weights in it; expected a SAM-2 checkpoint such as sam2.1_hiera_tiny",
        ),
        (write_other_size, "has no place; expected a checkpoint of the same size and version"),
    ],
)
def test_a_file_that_is_no_checkpoint_ends_the_training_in_one_sentence(
    sss_train: Train, capfd: pytest.CaptureFixture[str], write: Callable[[Path], None], sentence: str
) -> None:
    write(Path("own.pt"))
    assert sss_train({"model.checkpoint": "own.pt"}) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(("20", "Seed"))]
    assert len(lines) == 1
    assert lines[0].startswith("error: own.pt: ")
    assert sentence in lines[0]
    assert not Path("was_run").exists()
    assert not Path("checkpoint").exists()


def test_other_weights_are_another_training(steps: Path, tmp_path: Path) -> None:
    files = {"params": steps / "params.yaml", "manifest": steps / "manifest.csv"}
    files["data_version"] = steps / "data_version.json"
    own = tmp_path / "own.pt"

    def identity(content: bytes) -> str:
        own.write_bytes(content)
        return identity_of_training(**files, pretrained=own)

    assert identity(b"a") == identity(b"a") != identity(b"b")
    assert identity_of_training(**files, pretrained=None) not in (identity(b"a"), identity(b"b"))


def test_processes_of_a_pod_keep_weights_on_its_volume(steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        train_distributed.subprocess,
        "run",
        lambda command: started.append(command) or type("Done", (), {"returncode": 0}),
    )
    paths = dict.fromkeys(("data_dir", "manifest", "data_version", "output"), steps)
    train_distributed.train_on_gpus(params=steps / "params.yaml", **paths, work="/sss/work", gpus=2)
    (command,) = started
    assert command[command.index("--checkpoints") + 1] == "/sss/work/checkpoints"
