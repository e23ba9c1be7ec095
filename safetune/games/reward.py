"""What a safeguard adds to a game's reward, and the tables that turn a step into array look-ups.

For an edge from q to q' of cost c:

    reward = task - weight * c + bonus * [nothing broken] + gamma * phi(q') - phi(q)

with the bonus under the form `bonus` alone and phi under `potential` alone. phi(q') counts as 0 where the episode
terminated, and is kept where it was truncated, because the learner bootstraps there.

Notation: S states, L label sets; an edge has the key q * L + labels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.safeguard import FORMS, POTENTIALS, Safeguard, distance_potential

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RewardSettings:
    """How verdicts become rewards; the same names as in a recipe's `[reward]`."""

    form: str = "potential"
    """`sparse`: the cost alone; `bonus`: and a bonus on safe steps; `potential`: the cost, shaped by a potential."""
    potential: str = "distance"
    """`distance`: by the steps to a violation; `value`: by the cost expected, estimated from the labels seen."""
    kappa: float = 0.5
    """The distance potential is -kappa^distance; 0 < kappa < 1."""
    weight: float = 1.0
    """Reward lost per unit of cost."""
    bonus: float = 0.1
    """Reward of a safe step under the form `bonus`."""
    gamma: float = 0.99
    """The learner's discount."""

    def __post_init__(self) -> None:
        for key, value, valid in (("form", self.form, FORMS), ("potential", self.potential, POTENTIALS)):
            if value not in valid:
                raise GameError(f"reward.{key}: got {value!r}, expected {choices(valid)}.{nearest(str(value), valid)}")
        self._check("weight", 0.0, math.inf)
        self._check("bonus", 0.0, math.inf)
        self._check("gamma", 0.0, 1.0)
        self._check("kappa", 0.0, 1.0)
        if self.kappa in (0, 1):
            raise GameError(f"reward.kappa: got {self.kappa}, expected more than 0 and less than 1")

    def _check(self, key: str, low: float, high: float) -> None:
        value = getattr(self, key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high or math.isinf(value):
            wanted = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
            raise GameError(f"reward.{key}: got {value!r}, expected a finite number {wanted}")

    @property
    def shaped(self) -> bool:
        """Whether a potential is used."""
        return self.form == "potential"

    @property
    def estimated(self) -> bool:
        """Whether the potential is estimated from the labels seen."""
        return self.shaped and self.potential == "value"

    def fixed_potential(self, guard: Safeguard) -> Floats:
        """(S,) the potential that is known from the start: 0 everywhere where none is used or it is estimated."""
        if not self.shaped or self.estimated:
            return np.zeros(guard.n_states)
        return distance_potential(guard.distance, self.kappa)

    def verdict_reward(self, cost: Any, broken: Any) -> Any:
        """The part of the reward that the verdict alone decides, one number or an array."""
        reward = 0.0 - self.weight * cost
        return reward + self.bonus * (broken == 0) if self.form == "bonus" else reward

    def require(self, end_on_violation: bool) -> None:
        """The form `bonus` ends at the first violation."""
        if self.form == "bonus" and not end_on_violation:
            raise GameError(
                "reward.form: 'bonus' ends the episode at a violation; set end_on_violation = True, or choose "
                "'sparse' or 'potential'"
            )


DEFAULT_REWARD = RewardSettings()


@dataclass(frozen=True, eq=False)
class EdgeTables:
    """A safeguard's tables by key, flat and of the types that gathers are fastest with."""

    next_state: NDArray[np.int64]
    """(S*L,)"""
    cost: Floats
    """(S*L,)"""
    broken: NDArray[np.int64]
    """(S*L,) bit i where rule i is broken"""
    reward: Floats
    """(S*L,) all that is added to the task's reward where the episode goes on; without an estimated potential"""
    kept: Floats
    """(S,) gamma * phi(q'), which does not count where the episode terminated"""

    @classmethod
    def of(cls, guard: Safeguard, settings: RewardSettings) -> "EdgeTables":
        """The tables of a safeguard under a reward."""
        phi = settings.fixed_potential(guard)
        kept = settings.gamma * phi
        reward = settings.verdict_reward(guard.cost, guard.broken) + kept[guard.next_state] - phi[:, None]
        return cls(
            guard.next_state.astype(np.int64).ravel(),
            guard.cost.astype(np.float64).ravel(),
            guard.broken.astype(np.int64).ravel(),
            reward.ravel(),
            kept,
        )
