"""Student, teacher and optimiser: one step of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sss_model.config import Config
from sss_model.network import Network
from sss_model.network.base import ClipBatch, SegmenterOutput, Spacing
from sss_model.training.batches import Batches
from sss_model.training.methods import make_method
from sss_model.training.micro_batches import backward_in_pieces, concatenated, cut
from sss_model.training.schedule import learning_rate


class Learner:
    """Student, teacher and optimiser, and the method by which they learn.

    The teacher is the student's exponential moving average (Tarvainen and Valpola, 2017). It makes the pseudo-labels,
    unless a method has the student teach itself, and it is validated and kept. Only parameters are averaged: every
    network normalises by instance, so there are no running statistics.

    Args:
        classes: names of the foreground classes, in order.
    """

    def __init__(self, network: Network, config: Config, classes: list[str], fabric: Fabric) -> None:
        self._config, self._fabric, self._predict_batch = config.train, fabric, config.predict.batch
        self._method = make_method(config, classes)
        network = fabric.to_device(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload,assignment]
        # The fused kernel takes a third of the default's time on a CPU.
        fused = True if fabric.device.type in ("cpu", "cuda") else None
        groups = _parameter_groups(network, config)
        optimizer = torch.optim.AdamW(groups, weight_decay=config.train.weight_decay, fused=fused)
        self._ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.train.ema_decay))
        self._ema.requires_grad_(False).eval()
        # AveragedModel reads n_averaged on the host at each update; keep it on the CPU to avoid a GPU sync.
        self._ema.n_averaged = self._ema.n_averaged.cpu()
        self._student, self._optimizer = fabric.setup(network, optimizer)

    def step(self, batches: Batches, *, step: int, progress: float) -> dict[str, Tensor]:
        """Train the student on the batches of a step, and update the teacher.

        Args:
            progress: share of the budget used so far, 0 to 1.

        Returns:
            The method's scalars on the device, ``loss`` and ``loss_labelled`` among them.
        """
        for group in self._optimizer.param_groups:
            begins, ends = group["learns"]
            group["lr"] = group["peak"] * learning_rate(self._config, (progress - begins) / (ends - begins))
        task = self._method.task(batches, self._teach, step=step, progress=progress)
        self._optimizer.zero_grad()
        scalars = backward_in_pieces(
            self._student,
            task.batch.channels_last(),
            task.objective,
            fabric=self._fabric,
            micro_batch=self._config.micro_batch,
        )
        self._optimizer.step()
        self._ema.update_parameters(self._student.module)
        return {name: value.detach() for name, value in scalars.items()}

    @torch.no_grad()
    def segment(self, images: Tensor, spacing: Spacing, proportions: Tensor | None) -> Tensor:
        """The teacher's class logits of a whole volume; see `Network.segment`."""
        with self._fabric.autocast():
            network = cast(Network, self._ema.module)
            images = images.contiguous(memory_format=torch.channels_last)
            return network.segment(images, spacing, batch=self._predict_batch, proportions=proportions)

    @torch.no_grad()
    def predict_slices(self, images: Tensor, slice_position: Tensor) -> Tensor:
        """The teacher's per-slice class logits; see `Network.predict_slices`."""
        with self._fabric.autocast():
            network = cast(Network, self._ema.module)
            images = images.contiguous(memory_format=torch.channels_last)
            return network.predict_slices(images, slice_position, batch=self._predict_batch)

    @torch.no_grad()
    def _teach(self, batch: ClipBatch) -> SegmenterOutput:
        with self._fabric.autocast():
            teacher = self._student.module if self._method.self_taught else self._ema
            pieces = cut(batch.channels_last(), self._config.micro_batch)
            return concatenated([teacher(piece) for piece in pieces])

    @property
    def lr(self) -> float:
        """The highest learning rate of the last step."""
        return max(group["lr"] for group in self._optimizer.param_groups)

    @property
    def weights(self) -> Iterator[Tensor]:
        """The student's parameters, on their device."""
        return self._student.module.parameters()

    def teacher_weights(self) -> dict[str, Tensor]:
        """A copy of the teacher's weights on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self._ema.module.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """The state that `load_state` needs to continue exactly."""
        return {
            "student": self._student.module.state_dict(),
            "teacher": self._ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._student.module.load_state_dict(state["student"])
        self._ema.load_state_dict(state["teacher"])
        self._optimizer.load_state_dict(state["optimizer"])


def _parameter_groups(network: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Parameters by peak learning rate, with the progress between which it rises and falls."""
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    memory_from = config.sss.memory_from if config.train.method == "sss" else 1.0
    groups: list[dict[str, Any]] = [
        {"of": ("encoder.",), "peak": config.train.encoder_lr, "learns": (0.0, memory_from)},
        {"of": ("memory.", "gate"), "peak": config.train.lr, "learns": (memory_from if memory_from < 1 else 0.0, 1.0)},
        {"of": ("",), "peak": config.train.lr, "learns": (0.0, memory_from)},
    ]
    for name, parameter in named:
        group = next(group for group in groups if name.startswith(group["of"]))
        group.setdefault("params", []).append(parameter)
    return [group for group in groups if "params" in group]
