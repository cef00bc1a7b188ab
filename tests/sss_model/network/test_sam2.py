"""SAM-2: checkpoints of every size and version, and an encoder that computes activations again."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.sam2_checkpoints import SIZES, VERSIONS, weights_of, whole_model, write_checkpoint
from torch import nn

from sss_model.config import Config, Encoder, Model
from sss_model.errors import InputError
from sss_model.network.pretrained import Pretrained, read_pretrained
from sss_model.network.sam2 import MEMORY_PARTS, ImageEncoder, build_image_encoder, build_memory_parts

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


@pytest.fixture(scope="module")
def model(recipe: Callable[..., Config]) -> Model:
    return recipe().model


def sized(model: Model, encoder: str, version: str = "2.1") -> ImageEncoder:
    return ImageEncoder(model.model_copy(update={"encoder": encoder, "version": version}))


@pytest.mark.parametrize("side", [32, 64, 96, 160])
def test_features_come_at_strides_4_8_and_16_of_any_size(model: Model, side: int) -> None:
    encoder = sized(model, "micro").eval()
    features = encoder(torch.zeros(1, 3, side, side))
    assert [tuple(f.shape) for f in features] == [(1, encoder.channels, side // k, side // k) for k in (4, 8, 16)]


def test_the_micro_encoder_is_small(model: Model) -> None:
    assert 1e6 < sum(p.numel() for p in sized(model, "micro").parameters()) < 2.5e6


def test_every_weight_of_the_micro_encoder_learns(model: Model) -> None:
    encoder = sized(model, "micro")
    sum(f.square().mean() for f in encoder(torch.randn(1, 3, 64, 64))).backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        ("tiny", 28e6),
        pytest.param("small", 35e6, marks=pytest.mark.acceptance),
        pytest.param("base_plus", 69e6, marks=pytest.mark.acceptance),
        pytest.param("large", 212e6, marks=pytest.mark.acceptance),
    ],
)
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_metas_sizes_are_built_from_sam2s_own_configuration(
    model: Model, encoder: str, parameters: float, version: str
) -> None:
    built = sized(model, encoder, version).eval()
    assert sum(p.numel() for p in built.parameters()) == pytest.approx(parameters, rel=0.05)
    with torch.inference_mode():
        assert built(torch.zeros(1, 3, 64, 64))[0].shape == (1, 256, 16, 16)


def metas_form(encoder: ImageEncoder) -> dict[str, Any]:
    weights = {f"image_encoder.{name}": value for name, value in encoder.sam.state_dict().items()}
    return {"model": {**weights, "no_mem_embed": torch.zeros(1)}}


def test_a_checkpoint_of_metas_form_is_loaded(tmp_path: Path, model: Model) -> None:
    donor, receiver = sized(model, "micro"), sized(model, "micro")
    torch.save(metas_form(donor), tmp_path / "sam2.pt")
    receiver.fill(read_pretrained(tmp_path / "sam2.pt"))
    assert all(torch.equal(a, b) for a, b in zip(donor.parameters(), receiver.parameters(), strict=True))


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path, model: Model) -> None:
    torch.save(metas_form(sized(model, "micro")), tmp_path / "sam2.pt")
    with pytest.raises(InputError, match=r"image_encoder\.\S+ .*; expected a checkpoint of the same size"):
        sized(model, "tiny").fill(read_pretrained(tmp_path / "sam2.pt"))


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (exec, ("raise SystemExit('code in a checkpoint was run')",))


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": Malicious()}))


def write_torch_pickle(path: Path) -> None:
    torch.save({"model": Malicious()}, path)


def write_half(path: Path) -> None:
    torch.save({"model": {"image_encoder.x": torch.zeros(10_000)}}, path)
    path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.parametrize("write", [write_pickle, write_torch_pickle, write_half, lambda path: path.write_text("hello")])
def test_a_file_that_is_no_set_of_weights_is_refused_and_never_run(
    tmp_path: Path, model: Model, write: Callable[[Path], Any]
) -> None:
    write(tmp_path / "sam2.pt")
    with pytest.raises(InputError, match=r"sam2\.pt: damaged, or not a file that holds only weights"):
        sized(model, "micro").fill(read_pretrained(tmp_path / "sam2.pt"))


@pytest.mark.parametrize("content", [{"weights": {}}, {"model": {"other": torch.zeros(1)}}, [1, 2]])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, model: Model, content: Any) -> None:
    torch.save(content, tmp_path / "sam2.pt")
    with pytest.raises(InputError, match="expected"):
        sized(model, "micro").fill(read_pretrained(tmp_path / "sam2.pt"))


def test_a_missing_checkpoint_is_refused(tmp_path: Path, model: Model) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        sized(model, "micro").fill(read_pretrained(tmp_path / "sam2.pt"))


def gradients(encoder: ImageEncoder, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients, and the bytes that the forward pass leaves for the backward pass, parameters not counted."""
    parameters = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    encoder.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = sum(feature.square().mean() for feature in encoder(images))
    held = sum(kept.values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}, held


@pytest.mark.parametrize(("size", "side"), [("micro", 96), ("tiny", 64)])
def test_gradients_stay_the_same_and_less_is_held(recipe: Callable[..., Config], size: str, side: int) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(recipe().model.model_copy(update={"encoder": size}))
    images = torch.randn(2, 3, side, side)
    names = list(encoder.state_dict())
    expected, held = gradients(encoder, images)
    encoder.recompute_activations()
    found, held_then = gradients(encoder, images)
    assert held_then < held / 2
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert list(encoder.state_dict()) == names


def test_gradients_stay_the_same_in_bfloat16(recipe: Callable[..., Config]) -> None:
    torch.manual_seed(0)
    encoder, images = ImageEncoder(recipe().model), torch.randn(2, 3, 64, 64)
    found = []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(gradients(encoder, images)[0])
        encoder.recompute_activations()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_copy_computes_with_its_own_weights(recipe: Callable[..., Config]) -> None:
    encoder, images = ImageEncoder(recipe().model), torch.randn(1, 3, 64, 64)
    encoder.recompute_activations()
    before = encoder(images)[0]
    twin = copy.deepcopy(encoder)
    for parameter in twin.sam.trunk.blocks.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(encoder(images)[0], before)
    assert not torch.equal(twin(images)[0], before)
