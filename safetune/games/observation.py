"""What an agent sees of its safeguard: nothing, the state as one-hot, or the danger it is in.

state   (S,)    1 at the safeguard's state
danger  (P+1,)  for each proposition but `end`, 1 where it alone would break a rule now; then kappa^distance, 0 where
                no violation can come. The same meaning for every spec over the same propositions.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.safeguard import Safeguard, distance_potential
from safetune.safeguard.formula import END

OBSERVE = ("none", "state", "danger")
KEY = "safeguard"
INNER = "observation"


def features(guard: Safeguard, observe: str, kappa: float) -> NDArray[np.float32] | None:
    """(S, F) what is shown in each state, in [0, 1]; nothing for `none`."""
    if observe not in OBSERVE:
        hint = nearest(str(observe), OBSERVE)
        raise GameError(f"observe: got {observe!r}, expected {choices(OBSERVE)}.{hint}")
    if observe == "none":
        return None
    if observe == "state":
        return np.eye(guard.n_states, dtype=np.float32)
    own = [index for index, name in enumerate(guard.propositions) if name != END]
    danger = np.stack([guard.danger(state)[own] for state in range(guard.n_states)])
    near = -distance_potential(guard.distance, kappa)
    return np.column_stack([danger, near]).astype(np.float32)


def with_features(space: gym.Space[Any], count: int) -> gym.spaces.Dict:
    """The observation space with `count` features added, under the key `safeguard`."""
    shown = gym.spaces.Box(0.0, 1.0, (count,), np.float32)
    if not isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({INNER: space, KEY: shown})
    if KEY in space.spaces:
        raise GameError(
            f"observe: the environment's observations have the key '{KEY}' already; choose observe = 'none'"
        )
    return gym.spaces.Dict({**space.spaces, KEY: shown})


def joined(observation: Any, shown: NDArray[np.float32]) -> dict[str, Any]:
    """An observation, or a batch of them, with the features of as many states."""
    if isinstance(observation, dict):
        return {**observation, KEY: shown}
    return {INNER: observation, KEY: shown}
