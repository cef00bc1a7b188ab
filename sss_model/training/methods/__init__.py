"""The methods of training, one file each: the student's task in a step."""

from __future__ import annotations

from collections.abc import Callable

from sss_model.config import Config
from sss_model.training.methods.base import Task, Teacher, TrainingMethod
from sss_model.training.methods.sss import SssMethod
from sss_model.training.methods.supervised import SupervisedMethod
from sss_model.training.methods.unimatch import UniMatchMethod
from sss_model.training.methods.weak_to_strong import WeakToStrongMethod

__all__ = ["Task", "Teacher", "TrainingMethod", "make_method"]

_METHODS: dict[str, Callable[[Config, list[str]], TrainingMethod]] = {
    "supervised": SupervisedMethod,
    "weak_to_strong": WeakToStrongMethod,
    "unimatch": UniMatchMethod,
    "sss": SssMethod,
}


def make_method(config: Config, classes: list[str]) -> TrainingMethod:
    """The recipe's method; `classes` names the foreground classes in order."""
    return _METHODS[config.train.method](config, classes)
