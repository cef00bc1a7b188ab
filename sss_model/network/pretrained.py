"""SAM-2 checkpoints, Meta's or fine-tuned ones of their form, read safely.

Such a file is ``{"model": state_dict}`` of sam2's ``SAM2Base``. Its parts have prefixes:
``image_encoder.``, ``memory_attention.``, ``memory_encoder.``, ``sam_prompt_encoder.``, ``sam_mask_decoder.``,
``obj_ptr_proj.`` and more; single tensors such as ``no_mem_embed`` stand beside them. No shape depends on the size of
the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sss_model.errors import InputError
from sss_model.io.weights import read_weights

_NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


@dataclass(frozen=True)
class Pretrained:
    """The weights of a checkpoint.

    Attributes:
        path: the file, for sentences.
        weights: every tensor by its full name, on the CPU.

    >>> pretrained = read_pretrained(Path("checkpoints/sam2.1_hiera_small.pt"))  # doctest: +SKIP
    ... pretrained.fill(memory_attention, "memory_attention.")
    """

    path: Path
    weights: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The state dict of one part, its names without the prefix.

        Args:
            prefix: such as ``memory_encoder.``, with the dot.

        Raises:
            InputError: there is no such part.
        """
        part = {name.removeprefix(prefix): value for name, value in self.weights.items() if name.startswith(prefix)}
        if not part:
            raise InputError(
                f"{self.path}: no {prefix}* weights in it; expected a SAM-2 checkpoint such as sam2.1_hiera_tiny.pt"
            )
        return part

    def tensor(self, name: str, shape: torch.Size) -> Tensor:
        """One tensor that belongs to no part, such as ``no_mem_embed``.

        Raises:
            InputError: it is missing, of another shape, or not finite.
        """
        if name not in self.weights:
            raise InputError(f"{self.path}: {name} is missing; expected a SAM-2 checkpoint of the recipe's version")
        self._refuse_other(name, shape)
        return self.weights[name]

    def fill(self, module: nn.Module, prefix: str) -> None:
        """Give a module the weights of one part.

        Raises:
            InputError: as `refuse_unfit`; the module is then as it was.
        """
        self.refuse_unfit(module, prefix)
        module.load_state_dict(self.part(prefix))

    def refuse_unfit(self, module: nn.Module, prefix: str) -> None:
        """Refuse a part that a module can't take.

        Raises:
            InputError: the part's names and shapes are not exactly the module's, or a weight is not finite.
        """
        part, own = self.part(prefix), module.state_dict()
        for name in sorted(own.keys() ^ part.keys()):
            found = "is missing" if name in own else "has no place"
            raise InputError(f"{self.path}: {prefix}{name} {found}; expected a checkpoint of the same size and version")
        for name, value in own.items():
            self._refuse_other(f"{prefix}{name}", value.shape)

    def _refuse_other(self, name: str, shape: torch.Size) -> None:
        value = self.weights[name]
        if value.shape != shape:
            raise InputError(
                f"{self.path}: {name} has the shape {_written(value.shape)} where this network has {_written(shape)}; "
                "expected a checkpoint of the same size"
            )
        if not value.isfinite().all():
            raise InputError(f"{self.path}: {name} holds NaN or infinity; expected finite weights")


def read_pretrained(path: Path) -> Pretrained:
    """Read a checkpoint; nothing in it is run.

    Raises:
        InputError: the file is missing, damaged, holds anything but tensors and plain containers, or is of another
            form.
    """
    content = read_weights(path)
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise InputError(f"{path}: no 'model' in it; expected one of Meta's SAM-2 checkpoints")
    for name, value in weights.items():
        if not (isinstance(name, str) and isinstance(value, Tensor) and _is_plain(value)):
            raise InputError(f"{path}: 'model' holds {name!r}, which is no weight; expected names and tensors alone")
    return Pretrained(path, weights)


def _is_plain(value: Tensor) -> bool:
    """Whether it is what a module's weights are: dense floating-point numbers."""
    return value.layout == torch.strided and value.dtype in _NUMBERS and not value.is_meta


def _written(shape: torch.Size) -> str:
    return "×".join(map(str, shape)) or "of a single number"
