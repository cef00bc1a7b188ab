"""What one step sees: a labelled batch in one view, an unlabelled batch in one weak and two strong views."""

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
from sss_model.training.cutmix import CutMix, cutmix_boxes
from sss_model.training.teacher_findings import TeacherFindings
from sss_model.training.views import Draw, draw_noise, draw_views, move_images, move_labels, recolour, weak_grid, zooms

# What the next steps need, made in threads while the present step is at work.


K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Prefetcher(Generic[K, T]):
    """A function that is called for what is expected next.

    It must depend on its argument alone: then its values are the same with and without this, in any timing, also in a
    resumed run.

    >>> squares = Prefetcher(lambda step: step**2, workers=2)
    >>> [squares(step, step + 1, step + 2) for step in range(4)]
    [0, 1, 4, 9]
    """

    def __init__(self, make: Callable[[K], T], *, workers: int) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._made: dict[K, Future[T]] = {}

    def __call__(self, now: K, *following: K) -> T:
        """The value for `now`, waited for if need be; what `make` raised for it is raised here. What was made for
        others than those `following` is forgotten."""
        self._made = {key: self._made.get(key) or self._pool.submit(self._make, key) for key in (now, *following)}
        return self._made.pop(now).result()


# Names of the random streams; each is a sequence of its own under the one seed.
_LABELLED, _UNLABELLED, _STRONG, _FURTHER = 0, 1, 2, 10
_PARTNER, _MOVE, _FORGET = 1000, 1001, 1002  # among the further ones; three streams from the last on
_STEPS_AHEAD = 2
_OFF = 0.35  # how far a first look is off a label's proportions
_FORGOTTEN = 0.3  # share of the slices that are not told theirs

_At = tuple[int, int]
"""A step, and how many slices in a row are neighbours in it."""


@dataclass(frozen=True)
class Labelled:
    images: Tensor
    """(B, 3, S, S)."""
    labels: Tensor
    """(B, S, S) class indices."""
    spacing: Tensor
    """(B, 3) mm between slices, rows and columns, as the view shows them."""
    places: Tensor
    """(B, 3) where slices lie in their volumes, or (B, 3 + K) with the proportions of those."""
    seeds: Tensor
    """(B,) int64 on the CPU: for what a network draws by slice."""


@dataclass(frozen=True)
class Unlabelled:
    weak: Tensor
    """(B, 3, S, S)."""
    strong: list[Tensor]
    """Two views (B, 3, S, S), aligned with the weak one but for the pasted boxes."""
    mixes: list[CutMix]
    """Per strong view, where it shows its partner."""
    spacing: Tensor
    """(B, 3) mm between slices, rows and columns, as the views show them."""
    places: Tensor
    """As those of `Labelled`."""
    strong_places: list[Tensor]
    """Per strong view, the same, its partner's counted by the share of the view that shows it."""
    clip: int
    """How many slices in a row are neighbours, moved and pasted as one."""
    weak_seeds: Tensor
    """(B,) int64 on the CPU: for what a network draws by slice."""
    strong_seeds: list[Tensor]
    """The same of each strong view."""
    plausible: Tensor | None
    """(B, S, S) booleans: what the last volume check left to learn from; None before one."""


class _Source(NamedTuple):
    """What a batch is made from: all that the CPU reads and draws for it."""

    images: Tensor
    labels: Tensor | None
    indices: np.ndarray
    """(B,) positions of the slices in their set."""
    places: Tensor
    distances: Tensor
    moved_by: Draw
    recoloured_by: list[tuple[Draw, Tensor]]
    """Per view, its random numbers and its noise."""


class Batches:
    """Makes any step's batches from the seed alone.

    A batch is made of clips, neighbouring slices that are moved as one, where a step of method ``sss`` wants them;
    else, a clip is a single slice. Such a step rounds its batches up to whole clips, and to pairs of unlabelled ones:
    a strong view receives its box from another clip of the batch.

    For a GPU, the CPU's share is done some steps ahead and lies in pinned memory, so that the GPU need not wait for it.

    Args:
        proportions: (cases, K) of the labelled scans, see `sss_model.inference.volume_context`; or None.

    Attributes:
        findings: what is known of the unlabelled scans.
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

    def labelled(self, step: int, progress: float = 0.0) -> Labelled:
        """The labelled batch of a step, moved and recoloured.

        Args:
            progress: share of the budget used so far, 0 to 1, by which a recipe may tell which steps see clips.
        """
        source = self._fabric.to_device(self._labelled_source(*self._from(step, progress)))
        grid = weak_grid(source.moved_by, self._config.views, data=self._config.data)
        [(drawn, noise)] = source.recoloured_by
        images = recolour(move_images(source.images, grid), noise, drawn, self._config.views)
        labels = move_labels(source.labels, grid)
        places = self._told_of_labelled(source, step)
        return Labelled(images, labels, self._spacing(source), places, _seeds(drawn))

    def unlabelled(self, step: int, labelled: Labelled, progress: float = 0.0) -> Unlabelled:
        """The unlabelled batch of a step in its three views; pieces of labelled slices may be pasted into it."""
        views, size, clip = self._config.views, self._config.data.size, self._clip(step, progress)
        source = self._fabric.to_device(self._unlabelled_source(*self._from(step, progress)))
        grid = weak_grid(source.moved_by, views, data=self._config.data, turns=self._turns(source))
        weak = move_images(source.images, grid)
        foreign = self.uniform(_PARTNER, step, len(weak) // clip, 2).repeat_interleave(clip, 0) < views.cutmix_labelled
        boxes = [cutmix_boxes(drawn.of_clips(clip), views, size=size) for drawn, _ in source.recoloured_by]
        mixes = [CutMix(box, foreign[:, number], clip) for number, box in enumerate(boxes)]
        recoloured = [recolour(weak, noise, drawn, views) for drawn, noise in source.recoloured_by]
        strong = [mix.paste(view, labelled.images) for view, mix in zip(recoloured, mixes, strict=True)]
        places = self._told_of_unlabelled(source)
        strong_places = [
            mix.blend(self._partly_forgotten(places, step, _FORGET + 1 + number), labelled.places)
            for number, mix in enumerate(mixes)
        ]
        strong_seeds = [_seeds(drawn) for drawn, _ in source.recoloured_by]
        return Unlabelled(
            weak,
            strong,
            mixes,
            self._spacing(source),
            places,
            strong_places,
            clip,
            _seeds(source.moved_by),
            strong_seeds,
            self._plausible(source, grid),
        )

    def uniform(self, stream: int, step: int, batch: int, width: int) -> Tensor:
        """Further uniform(0, 1) numbers (batch, width) of a step, for this process's share."""
        rank, world = self._fabric.global_rank, self._fabric.world_size
        generator = np.random.default_rng([self._config.seed, _FURTHER + stream, step])
        whole = generator.random((batch * world, width), dtype=np.float32)
        return self._fabric.to_device(torch.from_numpy(whole[rank * batch : (rank + 1) * batch]))

    def _told_of_labelled(self, source: _Source, step: int) -> Tensor:
        """Labelled volumes' proportions, moved about by as much as a first look is off, in some slices not told."""
        if self._proportions is None:
            return source.places
        known = self._proportions[self._labelled.cases(source.indices)].to(source.places)
        moved = known + _OFF * (2 * self.uniform(_MOVE, step, *known.shape) - 1)
        return self._partly_forgotten(torch.cat([source.places, moved], 1), step, _FORGET)

    def _told_of_unlabelled(self, source: _Source) -> Tensor:
        """Unlabelled volumes' proportions, as the teacher saw them last."""
        if self._proportions is None:
            return source.places
        if self.findings.proportions is None:
            return F.pad(source.places, (0, self._proportions.shape[1]))
        known = self.findings.proportions[self._unlabelled.cases(source.indices)]
        return torch.cat([source.places, known.to(source.places)], 1)

    def _partly_forgotten(self, places: Tensor, step: int, stream: int) -> Tensor:
        """The same without proportions in some slices, for a first look must do without."""
        told = self.uniform(stream, step, len(places), 1) >= _FORGOTTEN
        return torch.cat([places[:, :WIDTH], places[:, WIDTH:] * told], 1)

    def _turns(self, source: _Source) -> Tensor | None:
        turns = self.findings.orientations
        if turns is None:
            return None
        of_slices = np.asarray(turns, dtype=np.float32)[self._unlabelled.cases(source.indices)]
        return self._fabric.to_device(torch.from_numpy(of_slices))

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
        places = self._labelled.places(indices)
        return _Source(images, labels, indices, places, distances, drawn.of_clips(clip), noisy)

    def _read_unlabelled(self, at: _At) -> _Source:
        (step, clip), size = at, self._config.data.size
        batch = _rounded_up(self._config.train.unlabelled_batch, 2 * clip)
        indices = self._indices(self._unlabelled, _UNLABELLED, step, batch, clip)
        moves = self._draw(_UNLABELLED, step, batch)
        draws = [self._draw(_STRONG + view, step, batch) for view in range(2)]
        noisy = [(drawn, draw_noise(drawn, size)) for drawn in draws]
        images, distances = self._unlabelled.image(indices), self._distances(self._unlabelled, indices)
        places = self._unlabelled.places(indices)
        return _Source(images, None, indices, places, distances, moves.of_clips(clip), noisy)

    def _clip(self, step: int, progress: float) -> int:
        return self._config.sss.clip_at(step, progress) if self._config.train.method == "sss" else 1

    def _indices(self, slices: SliceSet, stream: int, step: int, batch: int, clip: int) -> np.ndarray:
        rank, world = self._fabric.global_rank, self._fabric.world_size
        clips = batch // clip
        whole = draw(len(slices), seed=self._config.seed, stream=stream, step=step, batch=clips * world)
        return slices.clips(whole[rank * clips : (rank + 1) * clips], clip)

    def _distances(self, slices: SliceSet, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(slices.distance(indices))

    def _draw(self, stream: int, step: int, batch: int) -> Draw:
        rank, world = self._fabric.global_rank, self._fabric.world_size
        return draw_views(seed=self._config.seed, stream=stream, step=step, batch=batch, rank=rank, world=world)


def _rounded_up(count: int, whole: int) -> int:
    return -(-count // whole) * whole


def _seeds(drawn: Draw) -> Tensor:
    return torch.tensor(drawn.noise_seeds)


def _pinned(read: Callable[[_At], _Source]) -> Callable[[_At], _Source]:
    # Only from pinned memory does a copy to the GPU run while the CPU goes on.
    return lambda at: apply_to_collection(read(at), Tensor, Tensor.pin_memory)
