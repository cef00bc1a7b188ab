"""The saved state of an unfinished training, from which a killed run resumes."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from sss_model.io.weights import read_weights, write_weights
from sss_model.training.learner import Learner
from sss_model.training.teacher_findings import TeacherFindings
from sss_model.training.validation import Validation


@dataclass(frozen=True)
class BestWeights:
    """The weights with the highest validation Dice so far."""

    step: int
    per_class: dict[str, float]
    """Validation Dice by class."""
    weights: dict[str, Tensor]


@dataclass
class WorkState:
    """Position, clock, training curve and best weights so far of one run; removed when the run has ended.

    Attributes:
        folder: the run's own work folder.
        prepared: seconds of work before the first step.
        step: steps done.
        history: the training curve, one row a logged step.
        best: None before the first validation.
        findings: the teacher's findings on the unlabelled scans.
        memory_began: whether the steps in which the memory decoder learns alone have begun.
    """

    folder: Path
    prepared: float
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: BestWeights | None = None
    findings: TeacherFindings = field(default_factory=TeacherFindings)
    memory_began: bool = False
    _origin: float = field(default_factory=time.monotonic)
    _saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def resume(cls, folder: Path, learner: Learner, *, started: float) -> WorkState:
        """The state that a killed run left in `folder`, loaded into `learner` too; a new one where there is none.

        Args:
            started: the monotonic clock when this process began to work.
        """
        path = folder / "state.pt"
        if not path.exists():
            return cls(folder, time.monotonic() - started, _origin=started)
        saved = read_weights(path)
        learner.load_state(saved["learner"])
        done = {name: saved[name] for name in ("prepared", "step", "history", "memory_began")}
        return cls(
            folder,
            **done,
            best=BestWeights(**saved["best"]) if saved["best"] else None,
            findings=TeacherFindings(**saved["findings"]),
            _origin=started - saved["seconds"],
        )

    @property
    def seconds(self) -> float:
        """Seconds of work so far, over all the processes that took part, pauses not counted."""
        return time.monotonic() - self._origin

    @property
    def best_dice(self) -> float:
        """Mean Dice of the best validation; -1 before the first."""
        return Validation(self.best.per_class).dice if self.best else -1.0

    def log(self, row: dict[str, float]) -> None:
        """Add scalars to the training curve at the present step."""
        if self.history and self.history[-1]["step"] == self.step:
            self.history[-1].update(row)
        else:
            self.history.append({"step": self.step, **row})

    def memory_begins(self, alone: bool) -> bool:
        """Record whether the memory decoder learns `alone` in the next step; True where that step is the first one."""
        begins, self.memory_began = alone and not self.memory_began, alone
        return begins

    def keep_if_best(self, validation: Validation, weights: dict[str, Tensor]) -> None:
        if validation.dice > self.best_dice:
            self.best = BestWeights(self.step, validation.per_class, weights)

    def save_due(self, every_seconds: float) -> bool:
        return time.monotonic() - self._saved_at >= every_seconds

    def save(self, learner: Learner) -> None:
        """Write the state so that a kill at any moment leaves the old or the new one."""
        content = {
            "prepared": self.prepared,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "best": vars(self.best) if self.best else None,
            "findings": vars(self.findings),
            "memory_began": self.memory_began,
            "learner": learner.state(),
        }
        write_weights(self.folder / "state.pt", content)
        self._saved_at = time.monotonic()

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
