"""The batches of a step: a labelled one in one view, an unlabelled one in one weak and two strong views."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from lightning_fabric import Fabric
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from sss_model.config import Config
from sss_model.data.slice_position import WIDTH
from sss_model.data.slices import SliceSet, draw
from sss_model.network.base import ClipBatch
from sss_model.training.cutmix import CutMix, cutmix_boxes
from sss_model.training.teacher_findings import TeacherFindings
from sss_model.training.views import (
    ViewDraw,
    draw_noise,
    draw_views,
    move_images,
    move_labels,
    recolour,
    weak_grid,
    zooms,
)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Names of the random streams; each is a sequence of its own under the one seed.
_LABELLED, _UNLABELLED, _STRONG, _FURTHER = 0, 1, 2, 10
_PARTNER, _MOVE, _FORGET = 1000, 1001, 1002  # among the further ones; three streams from the last on
_STEPS_AHEAD = 2
_PROPORTION_ERROR = 0.35  # how far predicted proportions are off a label's
_FORGOTTEN = 0.3  # share of the slices whose proportions are hidden

_At = tuple[int, int]
"""A step, and how many slices in a row are neighbours in it."""


@dataclass(frozen=True)
class LabelledBatch:
    """Labelled slices in one view, moved and recoloured."""

    images: Tensor
    """(B, 3, S, S)."""
    labels: Tensor
    """(B, S, S) class indices."""
    spacing: Tensor
    """(B, 3) mm between slices, rows and columns, as the view shows them."""
    slice_position: Tensor
    """(B, 3), or (B, 3 + K) with the volume's proportions; see `ClipBatch`."""
    seeds: Tensor
    """(B,) int64 on the CPU, for dropout."""

    def single_slices(self) -> ClipBatch:
        """For a network that sees single slices."""
        return ClipBatch(self.images, self.slice_position, self.seeds)


@dataclass(frozen=True)
class StrongView:
    """A recoloured weak view with boxes from other slices."""

    images: Tensor
    """(B, 3, S, S), aligned with the weak view but for the boxes."""
    mix: CutMix
    """The boxes, and the slices that they are from."""
    slice_position: Tensor
    """The weak view's, blended with the partner's by the share of the view that shows it."""
    seeds: Tensor
    """(B,) int64 on the CPU, for dropout."""

    def single_slices(self) -> ClipBatch:
        """For a network that sees single slices."""
        return ClipBatch(self.images, self.slice_position, self.seeds)


@dataclass(frozen=True)
class UnlabelledBatch:
    """Unlabelled slices in one weak and two strong views."""

    weak: Tensor
    """(B, 3, S, S)."""
    strong: list[StrongView]
    spacing: Tensor
    """(B, 3) mm between slices, rows and columns, as the views show them."""
    slice_position: Tensor
    """As in `LabelledBatch`."""
    clip: int
    """How many slices in a row are neighbours, moved and pasted as one."""
    weak_seeds: Tensor
    """(B,) int64 on the CPU, for dropout."""
    plausible: Tensor | None
    """(B, S, S) booleans: pixels that the last volume check did not reject; None before one."""


class _Source(NamedTuple):
    """The CPU's share of a batch: everything that is read and drawn for it."""

    images: Tensor
    labels: Tensor | None
    indices: np.ndarray
    """(B,) positions of the slices in their set."""
    slice_position: Tensor
    distances: Tensor
    moved_by: ViewDraw
    recoloured_by: list[tuple[ViewDraw, Tensor]]
    """Per view, its random numbers and its noise."""


class Batches:
    """Makes any step's batches from the seed alone.

    In steps of method ``sss`` that see clips, a batch is made of clips of neighbouring slices, moved as one; else, a
    clip is a single slice. Such a step rounds its batches up to whole clips, and to pairs of unlabelled ones: a strong
    view receives its box from another clip of the batch.

    For a GPU, the CPU's share is done some steps ahead and put into pinned memory: the GPU doesn't wait for it.

    Args:
        proportions: (cases, K) of the labelled scans, see `sss_model.inference.volume_context`; or None.

    Attributes:
        findings: the teacher's findings on the unlabelled scans; set as they change.
    """

    def __init__(
        self,
        config: Config,
        *,
        labelled: SliceSet,
        unlabelled: SliceSet,
        fabric: Fabric,
        proportions: Tensor | None = None,
    ) -> None:
        self._config, self._labelled, self._unlabelled, self._fabric = config, labelled, unlabelled, fabric
        self._proportions = proportions
        self.findings = TeacherFindings()
        self._ahead = _STEPS_AHEAD if fabric.device.type == "cuda" else 0
        self._labelled_source: Callable[..., _Source] = self._read_labelled
        self._unlabelled_source: Callable[..., _Source] = self._read_unlabelled
        if self._ahead:
            self._labelled_source = Prefetcher(_pinned(self._read_labelled), workers=self._ahead)
            self._unlabelled_source = Prefetcher(_pinned(self._read_unlabelled), workers=self._ahead)

    def labelled(self, step: int, progress: float = 0.0) -> LabelledBatch:
        """The labelled batch of a step, moved and recoloured.

        Args:
            progress: share of the budget used so far, 0 to 1; it decides with the step whether clips are seen.
        """
        source = self._fabric.to_device(self._labelled_source(*self._from(step, progress)))
        grid = weak_grid(source.moved_by, self._config.views, data=self._config.data)
        [(drawn, noise)] = source.recoloured_by
        images = recolour(move_images(source.images, grid), noise, drawn, self._config.views)
        labels = move_labels(source.labels, grid)
        positions = self._labelled_positions(source, step)
        return LabelledBatch(images, labels, self._spacing(source), positions, _seeds(drawn))

    def unlabelled(self, step: int, labelled: LabelledBatch, progress: float = 0.0) -> UnlabelledBatch:
        """The unlabelled batch of a step in its three views; pieces of labelled slices may be pasted into it."""
        views, size, clip = self._config.views, self._config.data.size, self._clip(step, progress)
        source = self._fabric.to_device(self._unlabelled_source(*self._from(step, progress)))
        grid = weak_grid(source.moved_by, views, data=self._config.data, rotations=self._rotations(source))
        weak = move_images(source.images, grid)
        foreign = self.uniform(_PARTNER, step, len(weak) // clip, 2).repeat_interleave(clip, 0) < views.cutmix_labelled
        positions, strong = self._unlabelled_positions(source), []
        for number, (drawn, noise) in enumerate(source.recoloured_by):
            mix = CutMix(cutmix_boxes(drawn.of_clips(clip), views, size=size), foreign[:, number], clip)
            images = mix.paste(recolour(weak, noise, drawn, views), labelled.images)
            partly = self._partly_forgotten(positions, step, _FORGET + 1 + number)
            strong.append(StrongView(images, mix, mix.blend(partly, labelled.slice_position), _seeds(drawn)))
        return UnlabelledBatch(
            weak=weak,
            strong=strong,
            spacing=self._spacing(source),
            slice_position=positions,
            clip=clip,
            weak_seeds=_seeds(source.moved_by),
            plausible=self._plausible(source, grid),
        )

    def uniform(self, stream: int, step: int, batch: int, width: int) -> Tensor:
        """Further uniform(0, 1) numbers (batch, width) of a step, for this process's share."""
        rank, world = self._fabric.global_rank, self._fabric.world_size
        generator = np.random.default_rng([self._config.seed, _FURTHER + stream, step])
        whole = generator.random((batch * world, width), dtype=np.float32)
        return self._fabric.to_device(torch.from_numpy(whole[rank * batch : (rank + 1) * batch]))

    def _labelled_positions(self, source: _Source, step: int) -> Tensor:
        """Positions with the proportions of the label, disturbed by the error of predicted ones, hidden in some
        slices."""
        positions = source.slice_position
        if self._proportions is None:
            return positions
        known = self._proportions[self._labelled.cases(source.indices)].to(positions)
        moved = known + _PROPORTION_ERROR * (2 * self.uniform(_MOVE, step, *known.shape) - 1)
        return self._partly_forgotten(torch.cat([positions, moved], 1), step, _FORGET)

    def _unlabelled_positions(self, source: _Source) -> Tensor:
        """Positions with the proportions that the teacher predicted last."""
        positions = source.slice_position
        if self._proportions is None:
            return positions
        if self.findings.proportions is None:
            return F.pad(positions, (0, self._proportions.shape[1]))
        known = self.findings.proportions[self._unlabelled.cases(source.indices)]
        return torch.cat([positions, known.to(positions)], 1)

    def _partly_forgotten(self, positions: Tensor, step: int, stream: int) -> Tensor:
        """The same without proportions in some slices: the first prediction of a volume must do without."""
        kept = self.uniform(stream, step, len(positions), 1) >= _FORGOTTEN
        return torch.cat([positions[:, :WIDTH], positions[:, WIDTH:] * kept], 1)

    def _rotations(self, source: _Source) -> Tensor | None:
        if self.findings.orientations is None:
            return None
        degrees = np.asarray(self.findings.orientations, dtype=np.float32)[self._unlabelled.cases(source.indices)]
        return self._fabric.to_device(torch.from_numpy(degrees))

    def _plausible(self, source: _Source, grid: Tensor) -> Tensor | None:
        rejected = self.findings.rejected
        return None if rejected is None else move_labels(self._fabric.to_device(rejected[source.indices]), grid) == 0

    def _spacing(self, source: _Source) -> Tensor:
        pixel = self._config.data.spacing_mm * zooms(source.moved_by, self._config.views)
        return torch.stack([source.distances, pixel, pixel], 1)

    def _from(self, step: int, progress: float) -> list[_At]:
        return [(number, self._clip(number, progress)) for number in range(step, step + self._ahead + 1)]

    def _read_labelled(self, at: _At) -> _Source:
        (step, clip), size = at, self._config.data.size
        batch = _rounded_up(self._config.train.batch, clip)
        indices = self._indices(self._labelled, _LABELLED, step, batch, clip)
        drawn = self._draw(_LABELLED, step, batch)
        images, labels = self._labelled.image(indices), self._labelled.label(indices)
        noisy = [(drawn, draw_noise(drawn, size))]
        distances = self._distances(self._labelled, indices)
        positions = self._labelled.slice_position(indices)
        return _Source(images, labels, indices, positions, distances, drawn.of_clips(clip), noisy)

    def _read_unlabelled(self, at: _At) -> _Source:
        (step, clip), size = at, self._config.data.size
        batch = _rounded_up(self._config.train.unlabelled_batch, 2 * clip)
        indices = self._indices(self._unlabelled, _UNLABELLED, step, batch, clip)
        moves = self._draw(_UNLABELLED, step, batch)
        draws = [self._draw(_STRONG + view, step, batch) for view in range(2)]
        noisy = [(drawn, draw_noise(drawn, size)) for drawn in draws]
        images, distances = self._unlabelled.image(indices), self._distances(self._unlabelled, indices)
        positions = self._unlabelled.slice_position(indices)
        return _Source(images, None, indices, positions, distances, moves.of_clips(clip), noisy)

    def _clip(self, step: int, progress: float) -> int:
        return self._config.sss.clip_length(step, progress) if self._config.train.method == "sss" else 1

    def _indices(self, slices: SliceSet, stream: int, step: int, batch: int, clip: int) -> np.ndarray:
        rank, world = self._fabric.global_rank, self._fabric.world_size
        clips = batch // clip
        whole = draw(len(slices), seed=self._config.seed, stream=stream, step=step, batch=clips * world)
        return slices.clips(whole[rank * clips : (rank + 1) * clips], clip)

    def _distances(self, slices: SliceSet, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(slices.distance(indices))

    def _draw(self, stream: int, step: int, batch: int) -> ViewDraw:
        rank, world = self._fabric.global_rank, self._fabric.world_size
        return draw_views(seed=self._config.seed, stream=stream, step=step, batch=batch, rank=rank, world=world)


class Prefetcher(Generic[K, T]):
    """A function that is evaluated ahead, in threads, for the arguments expected next.

    It must depend on its argument alone: then its values are the same with and without prefetching, in any timing, also
    in a resumed run.

    >>> squares = Prefetcher(lambda step: step**2, workers=2)
    >>> [squares(step, step + 1, step + 2) for step in range(4)]
    [0, 1, 4, 9]
    """

    def __init__(self, make: Callable[[K], T], *, workers: int) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._made: dict[K, Future[T]] = {}

    def __call__(self, now: K, *following: K) -> T:
        """The value for `now`, waited for if need be; an error of `make` for it is raised here. Values made for others
        than those `following` are dropped."""
        self._made = {key: self._made.get(key) or self._pool.submit(self._make, key) for key in (now, *following)}
        return self._made.pop(now).result()


def _rounded_up(count: int, whole: int) -> int:
    return -(-count // whole) * whole


def _seeds(drawn: ViewDraw) -> Tensor:
    return torch.tensor(drawn.noise_seeds)


def _pinned(read: Callable[[_At], _Source]) -> Callable[[_At], _Source]:
    # Copies to the GPU are asynchronous only from pinned memory.
    return lambda at: apply_to_collection(read(at), Tensor, Tensor.pin_memory)
