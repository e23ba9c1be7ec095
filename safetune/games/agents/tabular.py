"""Tabular Q-learning on the product of environment and safeguard, as in the paper.

A row of the table is a product state: what the environment shows (one of O observations) with the state of the
safeguard. Where the safeguards change from stage to stage, each has rows of its own, and what was learnt is carried
over by the paper's *safety bias*: a product state first met under a later safeguard starts from the mean of the rows
of the same observation met under earlier ones.

    Q(o, q, a) += alpha * (r + gamma * max Q(o', q', .) - Q(o, q, a)),   no bootstrap where the episode terminated

Several independent tables, say one a seed, are learnt side by side, each by its own environment; or one table by all
environments, which then takes the last of several updates of one entry in a step.

Notation: N environments, K tables, O observations, S states of the stage's safeguard, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from safetune.errors import GameError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_DRAWN = 512  # steps for which random numbers are drawn at once


@dataclass(frozen=True)
class QSettings:
    """The learner's settings, by default the paper's."""

    gamma: float = 0.9
    """Discount, of the returns and of the shaping."""
    alpha: float = 0.9
    """Step size."""
    epsilon: float = 0.1
    """Share of actions drawn at random while learning."""

    def __post_init__(self) -> None:
        for name in ("gamma", "alpha", "epsilon"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected a number in [0, 1]")


class Stage:
    """The rows of one safeguard: values (K*O*S, A), and which of them have been met."""

    def __init__(self, tables: int, n_observations: int, n_states: int, n_actions: int) -> None:
        self.n_observations, self.n_states = n_observations, n_states
        self.values: Floats = np.zeros((tables * n_observations * n_states, n_actions))
        self.met: Bools = np.zeros(len(self.values), dtype=np.bool_)

    def rows(self, tables: Ints, observations: Ints, states: Ints) -> Ints:
        """(N,) the row of each product state."""
        return (tables * self.n_observations + observations) * self.n_states + states

    def seen(self, tables: Ints, observations: Ints) -> tuple[Floats, Ints]:
        """(N, A) the sum of the met rows of each observation, and (N,) how many they are."""
        first = (tables * self.n_observations + observations) * self.n_states
        rows = first[:, None] + np.arange(self.n_states)
        met = self.met[rows]
        return (self.values[rows] * met[..., None]).sum(axis=1), met.sum(axis=1)


class TabularQ:
    """The learner.

    Args:
        observations: the environment's observation space, Discrete or MultiDiscrete.
        n_actions: A.
        settings: step size, discount, exploration.
        tables: (N,) the table that each environment teaches.
        seed: of the exploration.
    """

    def __init__(
        self, observations: spaces.Space[Any], n_actions: int, settings: QSettings, tables: Ints, seed: int
    ) -> None:
        self.n_observations, self.index = numbering(observations)
        self.n_actions, self.settings, self.tables = n_actions, settings, np.asarray(tables, dtype=np.int64)
        self.stages: list[Stage] = []
        self.rng = np.random.default_rng(seed)
        self._left = 0

    def begin_stage(self, n_states: int) -> None:
        """Go on under a safeguard of this many states."""
        self.stages.append(Stage(int(self.tables.max()) + 1, self.n_observations, n_states, self.n_actions))

    def rows(self, observations: Any, states: Ints) -> Ints:
        """(N,) the rows of these product states in the current stage."""
        return self.stages[-1].rows(self.tables, self.index(observations), states)

    def meet(self, rows: Ints, where: Bools | None = None) -> None:
        """Give rows that are met for the first time, of those that `where` (N,) marks, their first values."""
        stage = self.stages[-1]
        new = ~stage.met[rows]
        if where is not None:
            new &= where
        if not new.any():
            return
        fresh = np.unique(rows[new])
        stage.met[fresh] = True
        if len(self.stages) > 1:
            tables, observations = np.divmod(fresh // stage.n_states, self.n_observations)
            sums, counts = zip(*(old.seen(tables, observations) for old in self.stages[:-1]), strict=True)
            count = np.sum(counts, axis=0)[:, None]
            stage.values[fresh] = np.sum(sums, axis=0) / np.maximum(count, 1)

    def explore(self, rows: Ints) -> Ints:
        """(N,) epsilon-greedy actions; of equally good ones, the first."""
        return self.mix(self.stages[-1].values[rows].argmax(axis=1))

    def mix(self, actions: Ints) -> Ints:
        """(N,) these actions, a share epsilon of them replaced by random ones."""
        if self._left == 0:
            shape = (_DRAWN, len(self.tables))
            self._random = self.rng.random(shape) < self.settings.epsilon
            self._actions = self.rng.integers(self.n_actions, size=shape)
            self._left = _DRAWN
        self._left -= 1
        return np.where(self._random[self._left], self._actions[self._left], actions)

    def draw_anew(self) -> None:
        """Forget the random numbers that were drawn ahead: the generator has been set."""
        self._left = 0

    def learn(
        self, rows: Ints, actions: Ints, rewards: Floats, following: Ints, terminated: Bools, active: Bools | None
    ) -> None:
        """Update after a step from `rows` to `following`, of the `active` (N,) environments."""
        values, settings = self.stages[-1].values, self.settings
        target = rewards + settings.gamma * np.where(terminated, 0.0, values[following].max(axis=1))
        if active is not None:
            rows, actions, target = rows[active], actions[active], target[active]
        values[rows, actions] += settings.alpha * (target - values[rows, actions])

    def tested(self) -> "TestTable":
        """The greedy policy of the current stage."""
        return TestTable(self)


class TestTable:
    """What is played in tests: an unknown product state falls back to the first safeguard's row, or is a guess."""

    __test__ = False

    def __init__(self, learner: TabularQ) -> None:
        self._learner, last, first = learner, learner.stages[-1], learner.stages[0]
        owner = np.arange(len(last.values)) // last.n_states * first.n_states  # the first safeguard's initial state
        self.best: Ints = np.where(last.met[:, None], last.values, first.values[owner]).argmax(axis=1)
        unknown = np.flatnonzero(~(last.met | first.met[owner]))
        self.best[unknown] = np.random.default_rng(0).integers(learner.n_actions, size=len(unknown))

    def __call__(self, observations: Any, begun: Bools, states: Ints, masks: Any) -> Ints:
        """(N,) greedy actions, one for each environment."""
        return self.best[self._learner.rows(plain(observations), states)]


def numbering(space: spaces.Space[Any]) -> tuple[int, Callable[[Any], Ints]]:
    """How many observations there are, and the function that numbers a batch of them from 0."""
    if isinstance(space, spaces.Dict) and set(space.spaces) == {"observation", "safeguard"}:
        space = space.spaces["observation"]  # the safeguard's state is known to the learner anyway
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return int(space.n), lambda batch: np.asarray(plain(batch), dtype=np.int64) - start
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        sizes, first = tuple(space.nvec.tolist()), space.start
        return int(np.prod(sizes)), lambda batch: np.ravel_multi_index((np.asarray(plain(batch)) - first).T, sizes)
    raise GameError(f"tabular-q: got observations {space}, expected ones that can be counted: Discrete, MultiDiscrete")


def plain(observations: Any) -> Any:
    """The environment's own part of a batch of observations."""
    return observations["observation"] if isinstance(observations, dict) else observations
