"""Task rewards: plain functions of TRL's reward signature, found by name and checked at every call."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from safetune.errors import DataError, RecipeError, choices

RewardFunction = Callable[..., list[float | None]]


class FiniteReward:
    """A task reward whose values are checked: None means not applicable, NaN and infinities are errors."""

    def __init__(self, function: RewardFunction) -> None:
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise DataError(f"task reward: got {function!r}, expected a plain function (no coroutine, no model)")
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> list[float | None]:
        rewards = self.function(*args, **kwargs)
        for row, reward in enumerate(rewards):
            if reward is not None and not np.isfinite(reward):
                raise DataError(f"task reward '{self.__name__}' returned {reward} for row {row}; expected a number")
        return rewards


def _import(name: str) -> ModuleType:
    """Import a module, one in the working folder as well: a console script does not look there by itself."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def load_task(name: str) -> tuple[str, RewardFunction]:
    """A task reward from its `module:function`, under the function's name."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise RecipeError(f"reward.tasks: got '{name}', expected 'module:function'")
    try:
        module = _import(module_name)
    except ImportError as error:
        raise RecipeError(f"reward.tasks: cannot import '{module_name}': {error}") from error
    function: RewardFunction | None = getattr(module, attribute, None)
    if not callable(function):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise RecipeError(f"reward.tasks: '{module_name}' has no function '{attribute}'; it has {choices(public)}")
    return attribute, function
