"""Labellers' answers, checked: no label passes that the safeguard does not know, and none speaks of `end`."""

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.labeller import BatchLabeller
from safetune.games.rows import row_of, row_of_info
from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END

Ints = NDArray[np.int64]
Transition = tuple[Any, Any, dict[str, Any]]
"""What a labeller is asked about: observation, action and info, of one environment or of N."""
Where = Callable[[], str]
"""What an error begins with; made only for an error."""


def own_labels(guard: Safeguard) -> int:
    """How many label sets a labeller may answer with: those without `end`, which is the last bit."""
    return guard.n_labels // (2 if END in guard.propositions else 1)


def checked_labels(guard: Safeguard, answer: Any, where: Where) -> int:
    """One step's labels."""
    try:
        bits = index(answer)
    except TypeError:
        bits = -1
    if isinstance(answer, bool) or not 0 <= bits < own_labels(guard):
        raise GameError(f"{where()}: the labeller returned {answer!r}, {_expected(guard)}")
    return bits


class LabelSource:
    """A labeller's answers for N environments, checked."""

    def __init__(self, guard: Safeguard, labeller: Any) -> None:
        self._guard, self._labeller = guard, labeller
        self._batched = isinstance(labeller, BatchLabeller)
        self._limit = own_labels(guard)

    def __call__(self, step: Transition, skipped: NDArray[np.bool_] | None, where: Where) -> Ints:
        """(N,) the labels of a step (observations, actions, infos), 0 in the `skipped` rows (N,).

        A labeller of single steps is asked row by row.
        """
        bits = self._answers(step, where) if self._batched else self._one_by_one(step, skipped, where)
        if skipped is not None:
            bits = np.where(skipped, 0, bits)
        if not 0 <= np.bitwise_or.reduce(bits) < self._limit:  # a negative number makes the whole negative
            bad = int(np.flatnonzero((bits < 0) | (bits >= self._limit))[0])
            got = f"the labeller returned {bits[bad]} for environment {bad}"
            raise GameError(f"{where()}: {got}, {_expected(self._guard)}")
        return bits

    def _answers(self, step: Transition, where: Where) -> Ints:
        bits = np.asarray(self._labeller.batch_labels(*step))
        shape = (len(step[1]),)
        if bits.shape != shape or bits.dtype.kind not in "iu":
            got = f"{bits.dtype} of shape {bits.shape}"
            raise GameError(f"{where()}: the labeller returned {got}, expected whole numbers of shape {shape}")
        return bits.astype(np.int64, copy=False)

    def _one_by_one(self, step: Transition, skipped: NDArray[np.bool_] | None, where: Where) -> Ints:
        bits = np.zeros(len(step[1]), dtype=np.int64)
        for row in range(len(bits)):
            if skipped is None or not skipped[row]:
                bits[row] = checked_labels(self._guard, self._labeller.labels(*row_of_step(step, row)), where)
        return bits


def row_of_step(step: Transition, row: int) -> Transition:
    """One environment's observation, action and info."""
    observations, actions, infos = step
    return row_of(observations, row), row_of(actions, row), row_of_info(infos, row)


def _expected(guard: Safeguard) -> str:
    names = ", ".join(f"'{name}'" for name in guard.propositions if name != END)
    return f"expected a whole number from 0 to {own_labels(guard) - 1}, bit by bit {names}"
