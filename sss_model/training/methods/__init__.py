"""The methods of training, one file each: the student's task in a step."""

from __future__ import annotations

from collections.abc import Callable

from sss_model.config import Config
from sss_model.training.methods.base import Method, Task, Teacher
from sss_model.training.methods.sss import Sss
from sss_model.training.methods.supervised import Supervised
from sss_model.training.methods.unimatch import UniMatch
from sss_model.training.methods.weak_to_strong import WeakToStrong

__all__ = ["Method", "Task", "Teacher", "make_method"]

_METHODS: dict[str, Callable[[Config, list[str]], Method]] = {
    "supervised": Supervised,
    "weak_to_strong": WeakToStrong,
    "unimatch": UniMatch,
    "sss": Sss,
}


def make_method(config: Config, classes: list[str]) -> Method:
    """The recipe's method; `classes` names the foreground classes in order."""
    return _METHODS[config.train.method](config, classes)
