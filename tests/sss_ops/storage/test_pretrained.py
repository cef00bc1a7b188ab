"""What a recipe's `model.checkpoint` may be, and what is refused before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.file_server import FileServer

from sss_model.config import Config, Model
from sss_model.errors import InputError
from sss_ops import recipe as recipes
from sss_ops.storage import published
from sss_ops.storage.pretrained import pretrained_file


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
        recipes.resolve("phantom", {"checkpoint": "small"})
    assert recipes.resolve("phantom", {"checkpoint": "small", "encoder": "small"}).model.checkpoint == "small"


def test_the_table_names_every_size_of_both_versions_once() -> None:
    table = published.PUBLISHED
    sizes = ["tiny", "small", "base_plus", "large"]
    assert [(known.version, known.encoder) for known in table] == [(v, s) for v in ("2.0", "2.1") for s in sizes]
    assert len({known.sha256 for known in table}) == len({known.size for known in table}) == len(table)
    for known in table:
        assert published.find_published(known.encoder, known.version) is published.find_published(known.name) is known
        assert len(known.sha256) == 64
