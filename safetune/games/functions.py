"""A labeller made from functions, for an environment of one's own: proposition to `(observation, action, info)`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.games.rows import row_of, row_of_info
from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END

Function = Callable[[Any, Any, dict[str, Any]], Any]


class FunctionLabeller:
    """Asks one function a proposition whether it holds.

    The functions see one environment's observation, action and info and answer true or false. With `arrays` they see
    a whole vector environment's instead, arrays with a row for each, and answer (N,) bools: much faster there.
    """

    def __init__(self, guard: Safeguard, functions: Mapping[str, Function], *, arrays: bool = False) -> None:
        names = [name for name in guard.propositions if name != END]
        for name, function in functions.items():
            if name not in names:
                raise GameError(
                    f"labeller: unknown proposition '{name}'. Valid: {choices(names)}.{nearest(name, names)}"
                )
            if not callable(function):
                raise GameError(
                    f"labeller: '{name}': expected a function (observation, action, info), got {function!r}"
                )
        if missing := [name for name in names if name not in functions]:
            raise GameError(
                f"labeller: no function for {choices(missing)}; each proposition of '{guard.name}' needs one"
            )
        self.functions = {name: functions[name] for name in names}
        self.arrays = arrays

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        """The labels of one environment's step."""
        if self.arrays:
            raise GameError("labeller: these functions take the arrays of a vector environment (arrays = True)")
        bits = 0
        for bit, (name, function) in enumerate(self.functions.items()):
            bits |= _truth(name, function(observation, action, info)) << bit
        return bits

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> NDArray[np.int64]:
        """(N,) the labels of a vector environment's step."""
        count = len(actions)
        if not self.arrays:
            rows = (
                self.labels(row_of(observations, row), row_of(actions, row), row_of_info(infos, row))
                for row in range(count)
            )
            return np.fromiter(rows, dtype=np.int64, count=count)
        bits = np.zeros(count, dtype=np.int64)
        for bit, (name, function) in enumerate(self.functions.items()):
            truth = np.asarray(function(observations, actions, infos))
            if truth.dtype != np.bool_ or truth.shape != (count,):
                got = f"{truth.dtype} of shape {truth.shape}"
                raise GameError(f"labeller: '{name}' returned {got}, expected bool of shape ({count},)")
            bits |= truth.astype(np.int64) << bit
        return bits


def _truth(name: str, answer: Any) -> bool:
    if not isinstance(answer, bool | np.bool_):
        raise GameError(f"labeller: '{name}' returned {answer!r}, expected True or False")
    return bool(answer)
