"""Which actions break no rule now, from what a labeller foresees (the convention of sb3-contrib: true is allowed)."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.labeller import ForeseeingLabeller
from safetune.safeguard import Safeguard


class Masks(NamedTuple):
    """The allowed actions of one environment or of N."""

    allowed: NDArray[np.bool_]
    """(A,) or (N, A); at least one is true in each row"""
    cornered: NDArray[np.bool_]
    """() or (N,) whether every action breaks a rule: then the least costly ones are allowed"""


def action_masks(
    guard: Safeguard, labeller: Any, env: Any, space: gym.Space[Any], states: NDArray[np.int64] | int
) -> Masks:
    """Masks in these states, one or (N,); `space` is one environment's action space."""
    if not isinstance(labeller, ForeseeingLabeller):
        raise GameError(
            f"action_masks: {type(labeller).__name__} cannot foresee an action's labels; it needs the method "
            "foresee(env) -> (A,) or (N, A) labels"
        )
    if not isinstance(space, gym.spaces.Discrete):
        raise GameError(f"action_masks: got the action space {space}, expected Discrete")
    labels = checked_foresight(guard, labeller.foresee(env), (*np.shape(states), int(space.n)))
    rows = np.asarray(states)[..., None]
    allowed = guard.broken[rows, labels] == 0
    cornered = ~allowed.any(axis=-1)
    if cornered.any():
        cost = guard.cost[rows, labels]
        allowed = np.where(cornered[..., None], cost == cost.min(axis=-1, keepdims=True), allowed)
    return Masks(allowed, cornered)


def checked_foresight(guard: Safeguard, labels: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Foreseen labels of the right shape and within the safeguard's label sets."""
    foreseen = np.asarray(labels)
    if foreseen.shape != shape or not np.issubdtype(foreseen.dtype, np.integer):
        got = f"{foreseen.dtype} of shape {foreseen.shape}"
        raise GameError(f"foresee: got {got}, expected whole numbers of shape {shape}")
    if foreseen.size and not (foreseen.min() >= 0 and foreseen.max() < guard.n_labels):
        got = f"{foreseen.min()} to {foreseen.max()}"
        raise GameError(f"foresee: got labels {got}, expected 0 to {guard.n_labels - 1}")
    return foreseen.astype(np.int64)
