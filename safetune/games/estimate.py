"""The `value` potential of a game: minus the cost expected from each state, estimated from the labels seen so far.

An estimate may change between episodes and never within one (Devlin and Kudenko 2012), so each environment holds the
table that its episode began with. Estimates are made as experience grows by a quarter: few, and ever better.

Notation: S states, L label sets, N environments, K tables held at once.
"""

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.reward import RewardSettings
from safetune.safeguard import Safeguard, value_potential

Floats = NDArray[np.float64]

_FIRST, _GROWTH = 256, 1.25
_PRIOR = 16.0  # how many steps in a state weigh as much as what was seen in all states together


class ValueEstimate:
    """Counts of labels per state, and the potential that follows from them."""

    def __init__(self, guard: Safeguard, settings: RewardSettings) -> None:
        self._guard, self._settings = guard, settings
        self._counts = np.zeros(guard.n_states * guard.n_labels, dtype=np.int64)
        self._seen, self._due = 0, _FIRST
        self.table = self._estimated()
        """(S,) the latest estimate"""

    def count(self, keys: NDArray[np.int64] | int) -> None:
        """Edges that were taken, by key."""
        np.add.at(self._counts, keys, 1)
        self._seen += np.size(keys)

    def refresh(self) -> Floats:
        """(S,) the latest estimate, made anew if enough was seen since the last."""
        if self._seen >= self._due:
            self._due = int(self._seen * _GROWTH) + 1
            self.table = self._estimated()
        return self.table

    @property
    def counts(self) -> NDArray[np.int64]:
        """(S, L) how often each label set was seen in each state; may be set, to go on from what was seen before."""
        return self._counts.reshape(self._guard.n_states, self._guard.n_labels).copy()

    @counts.setter
    def counts(self, counts: NDArray[np.int64]) -> None:
        shape = (self._guard.n_states, self._guard.n_labels)
        values = np.asarray(counts)
        if values.shape != shape or not np.issubdtype(values.dtype, np.integer) or (values < 0).any():
            got = f"{values.dtype} of shape {values.shape}"
            raise GameError(f"label_counts: got {got}, expected whole numbers of at least 0 of shape {shape}")
        self._counts = values.astype(np.int64).ravel()
        self._seen = int(self._counts.sum())
        self._due = max(_FIRST, int(self._seen * _GROWTH) + 1)
        self.table = self._estimated()

    def _estimated(self) -> Floats:
        guard, counts = self._guard, self._counts.reshape(self._guard.n_states, -1)
        overall = (counts.sum(axis=0) + 1 / guard.n_labels) / (counts.sum() + 1)
        chance = counts + _PRIOR * overall
        chance /= chance.sum(axis=1, keepdims=True)
        gamma = self._settings.gamma
        return self._settings.weight * value_potential(guard.next_state, guard.cost, chance, gamma)


class HeldTables:
    """Which estimate each of N environments holds; tables that none holds any more make room for new ones."""

    def __init__(self, count: int, table: Floats) -> None:
        self._tables = [table]
        self._held = np.zeros(count, dtype=np.int64)
        self._stack = np.stack(self._tables)

    def give(self, rows: NDArray[np.bool_], table: Floats) -> None:
        """The environments that `rows` (N,) marks begin an episode with this table."""
        if self._tables[-1] is not table:
            used = np.unique(self._held[~rows])
            self._held = np.searchsorted(used, self._held)  # rows that begin now may be wrong here: set below
            self._tables = [self._tables[index] for index in used] + [table]
            self._stack = np.stack(self._tables)
        self._held[rows] = len(self._tables) - 1

    def __len__(self) -> int:
        return len(self._tables)

    def of(self, states: NDArray[np.int64]) -> Floats:
        """(N,) the potential of each environment's state, by the table that it holds."""
        return self._stack[self._held, states]
