"""One step of learning: a student that is trained, and its moving average that teaches it."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sss_model.batches import Batches, Labelled, Unlabelled
from sss_model.budget import learning_rate, unlabelled_weight
from sss_model.config import Train
from sss_model.micro_batches import Objective, backward
from sss_model.objective import global_sum, pseudo_labels, segmentation_loss
from sss_model.views import paste


class Learner:
    """Student, teacher and optimiser.

    The teacher is the student's exponential moving average (Tarvainen and Valpola, 2017); it makes the pseudo-labels
    and is what is validated and kept. ``supervised`` leaves the unlabelled half out and changes nothing else.
    """

    def __init__(self, network: nn.Module, config: Train, fabric: Fabric) -> None:
        self._config, self._fabric = config, fabric
        network = fabric.to_device(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        # On a GPU one kernel updates all parameters; elsewhere torch chooses.
        fused = True if fabric.device.type == "cuda" else None
        groups = _parameter_groups(network, config)
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=fused)
        self._ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        self._ema.requires_grad_(False).eval()
        # It looks at its counter in every update, which on a GPU would wait for all work before.
        self._ema.n_averaged = self._ema.n_averaged.cpu()
        self._student, self._optimizer = fabric.setup(network, optimizer)

    def step(self, batches: Batches, *, step: int, spent: float) -> dict[str, Tensor]:
        """Learn from the batches of a step.

        Args:
            spent: the share of the budget spent so far.

        Returns:
            Scalars on the device: loss, loss_labelled and, with unlabelled data, loss_unlabelled and accepted.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * learning_rate(self._config, spent)
        labelled = batches.labelled(step)
        weight = unlabelled_weight(self._config, spent)
        images, objective = (
            self._weak_to_strong(labelled, batches.unlabelled(step), weight) if weight else self._supervised(labelled)
        )
        self._optimizer.zero_grad()
        scalars = backward(
            self._student,
            images.contiguous(memory_format=torch.channels_last),
            objective,
            fabric=self._fabric,
            micro_batch=self._config.micro_batch,
        )
        self._optimizer.step()
        self._ema.update_parameters(self._student.module)
        return {name: value.detach() for name, value in scalars.items()}

    @torch.no_grad()
    def teach(self, images: Tensor) -> Tensor:
        """The teacher's logits (B, classes, S, S)."""
        pieces = images.contiguous(memory_format=torch.channels_last).split(self._config.micro_batch or len(images))
        with self._fabric.autocast():
            return torch.cat([self._ema(piece) for piece in pieces])

    def teacher_weights(self) -> dict[str, Tensor]:
        """A copy of the teacher's weights on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self._ema.module.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """All that `load_state` needs to go on as if nothing had happened."""
        return {
            "student": self._student.module.state_dict(),
            "teacher": self._ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._student.module.load_state_dict(state["student"])
        self._ema.load_state_dict(state["teacher"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _supervised(self, labelled: Labelled) -> tuple[Tensor, Objective]:
        def objective(logits: Tensor) -> dict[str, Tensor]:
            loss = segmentation_loss(logits, labelled.labels)
            return {"loss": loss, "loss_labelled": loss}

        return labelled.images, objective

    def _weak_to_strong(self, labelled: Labelled, unlabelled: Unlabelled, weight: float) -> tuple[Tensor, Objective]:
        classes, sure = pseudo_labels(self.teach(unlabelled.weak), self._config.confidence)
        sizes = [len(labelled.images), *map(len, unlabelled.strong)]

        def objective(logits: Tensor) -> dict[str, Tensor]:
            of_labelled, *of_strong = logits.split(sizes)
            loss_labelled = segmentation_loss(of_labelled, labelled.labels)
            losses = [
                segmentation_loss(view, paste(classes, boxes), paste(sure, boxes))
                for view, boxes in zip(of_strong, unlabelled.boxes, strict=True)
            ]
            loss_unlabelled = torch.stack(losses).mean()
            return {
                "loss": (loss_labelled + weight * loss_unlabelled) / 2,
                "loss_labelled": loss_labelled,
                "loss_unlabelled": loss_unlabelled,
                "accepted": global_sum(sure.float().mean()) / self._fabric.world_size,
            }

        # All slices together: DDP wants a single forward pass, and it is faster.
        return torch.cat([labelled.images, *unlabelled.strong]), objective


def _parameter_groups(network: nn.Module, config: Train) -> list[dict[str, Any]]:
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    encoder = [parameter for name, parameter in named if name.startswith("encoder.")]
    others = [parameter for name, parameter in named if not name.startswith("encoder.")]
    groups = [{"params": encoder, "peak": config.encoder_lr}, {"params": others, "peak": config.lr}]
    return [group for group in groups if group["params"]]
