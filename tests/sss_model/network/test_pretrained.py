"""SAM-2 checkpoints of every size and version, and files that only look like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.sam2_checkpoints import SIZES, VERSIONS, weights_of, whole_model, write_checkpoint
from torch import nn

from sss_model.config import Encoder
from sss_model.errors import InputError
from sss_model.network.pretrained import Pretrained, read_pretrained
from sss_model.network.sam2 import MEMORY_PARTS, build_image_encoder, build_memory_parts

PARTS = ("image_encoder.", "memory_attention.", "memory_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
def test_every_part_of_every_size_and_version_finds_its_weights(tmp_path: Path, size: str, version: str) -> None:
    model = whole_model(size, version)
    pretrained = read_pretrained(write_checkpoint(tmp_path / "sam2.pt", size, version))
    handed_out = set()
    for prefix in (*PARTS, "obj_ptr_proj.", "mask_downsample."):
        module = model.get_submodule(prefix.removesuffix("."))
        pretrained.refuse_unfit(module, prefix)
        handed_out |= {prefix + name for name in pretrained.part(prefix)}
    alone = {name: value for name, value in model.state_dict().items() if "." not in name}
    assert {"maskmem_tpos_enc", "no_mem_embed", "no_obj_ptr"} <= alone.keys()
    for name, value in alone.items():
        assert pretrained.tensor(name, value.shape).shape == value.shape
    rest = {name.split(".")[0] for name in pretrained.weights.keys() - handed_out - alone.keys()}
    assert rest == ({"obj_ptr_tpos_proj"} if version == "2.1" else set())


@pytest.mark.parametrize("given", SIZES)
@pytest.mark.parametrize("wanted", SIZES)
def test_an_encoder_takes_its_own_size_only(tmp_path: Path, given: str, wanted: str) -> None:
    pretrained = read_pretrained(write_checkpoint(tmp_path / "sam2.pt", given, "2.1"))
    encoder = whole_model(wanted, "2.1").image_encoder
    if given == wanted:
        pretrained.refuse_unfit(encoder, "image_encoder.")
        return
    with pytest.raises(InputError, match=r"sam2\.pt: image_encoder\.\S+ .*; expected a checkpoint of the same size"):
        pretrained.refuse_unfit(encoder, "image_encoder.")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
def test_this_network_takes_metas_weights_of_every_size(tmp_path: Path, size: Encoder, version: str) -> None:
    pretrained = read_pretrained(write_checkpoint(tmp_path / "sam2.pt", size, version))
    parts = build_memory_parts(size, version)
    modules = {name: getattr(parts, name) for name in MEMORY_PARTS}
    for name, module in (modules | {"image_encoder": build_image_encoder(size, version)}).items():
        pretrained.fill(module, f"{name}.")
        assert all(torch.all(value == 0.5) for value in module.state_dict().values())


def small_part() -> tuple[nn.Module, Pretrained]:
    donor = nn.Linear(3, 2)
    weights = {f"part.{name}": value.detach().clone() for name, value in donor.state_dict().items()}
    return nn.Linear(3, 2), Pretrained(Path("own.pt"), {**weights, "alone": torch.ones(2)})


def test_a_module_is_filled_with_the_weights_of_its_part() -> None:
    module, pretrained = small_part()
    pretrained.fill(module, "part.")
    assert torch.equal(module.weight, pretrained.weights["part.weight"])
    assert torch.equal(module.bias, pretrained.weights["part.bias"])


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("part.weight", None, "own.pt: part.weight is missing; expected a checkpoint of the same size and version"),
        ("part.more", torch.ones(1), "own.pt: part.more has no place; expected a checkpoint of the same size and"),
        ("part.bias", torch.ones(1, 2), "own.pt: part.bias has the shape 1×2 where this network has 2; expected"),
        ("part.bias", torch.tensor(1.0), "shape of a single number where this network has 2; expected"),
        ("part.bias", torch.tensor([1.0, torch.nan]), "own.pt: part.bias holds NaN or infinity; expected finite"),
    ],
)
def test_a_part_that_does_not_fit_leaves_the_module_as_it_was(
    name: str, value: torch.Tensor | None, sentence: str
) -> None:
    module, pretrained = small_part()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    if value is None:
        del pretrained.weights[name]
    else:
        pretrained.weights[name] = value
    with pytest.raises(InputError, match=sentence):
        pretrained.fill(module, "part.")
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_a_missing_part_or_tensor_is_named() -> None:
    module, pretrained = small_part()
    with pytest.raises(InputError, match=r"own\.pt: no other\.\* weights in it; expected a SAM-2 checkpoint"):
        pretrained.fill(module, "other.")
    with pytest.raises(InputError, match=r"own\.pt: none is missing; expected"):
        pretrained.tensor("none", torch.Size([2]))
    with pytest.raises(InputError, match=r"own\.pt: alone has the shape 2 where this network has 3"):
        pretrained.tensor("alone", torch.Size([3]))


@pytest.mark.parametrize(
    "weights",
    [
        {"image_encoder.x": "words"},
        {"image_encoder.x": [torch.ones(1)]},
        {"image_encoder.x": torch.ones(1, dtype=torch.int64)},
        {"image_encoder.x": torch.ones(2, 2).to_sparse()},
        {"image_encoder.x": torch.ones(1, device="meta")},
        {7: torch.ones(1)},
    ],
)
def test_what_is_no_weight_is_refused(tmp_path: Path, weights: dict[Any, Any]) -> None:
    torch.save({"model": weights}, tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt: 'model' holds .*, which is no weight; expected names and tensors"):
        read_pretrained(tmp_path / "own.pt")


def test_any_cut_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sam2.pt"
    torch.save({"model": {**weights_of("tiny", "2.1"), "image_encoder.more": torch.zeros(10_000)}}, path)
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=r"sam2\.pt: damaged, or not a file that holds only weights"):
            read_pretrained(path)
