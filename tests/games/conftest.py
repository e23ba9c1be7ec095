"""A toy environment whose steps are drawn beforehand, two safeguards for it, and its labeller."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from safetune.safeguard import Safeguard, Spec

SPEC = """
name = "fire"
[propositions]
fuel = "fuel is spilled"
spark = "a spark flies"
water = "water is poured"
[[rule]]
name = "no spark after fuel"
always = "spark -> !(!water since fuel)"
cost = 2.0
[[rule]]
name = "water twice at most"
always = "water -> !previously once (water & previously once water)"
cost = 0.5
"""
AT_THE_END = """
[[rule]]
name = "water before the end"
always = "end -> once water"
cost = 0.25
"""
GUARDS = {
    "plain": Safeguard.from_spec(Spec.parse(SPEC)),
    "end": Safeguard.from_spec(Spec.parse(SPEC + AT_THE_END)),
}


class Drawn(gym.Env[Any, Any]):
    """Episodes of 1 to 6 steps with random labels, rewards and ends; the seed alone decides, actions do nothing.

    Action a would bring the labels `foreseen[a]` next; the labels that come are those of action 0.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form
    observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, 7))
        self._look_ahead()
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        labels, rng = int(self.foreseen[0]), self.np_random
        self.left -= 1
        terminated, truncated = bool(rng.integers(2)), bool(rng.integers(2))
        if not (terminated or truncated):
            terminated = True
        info = {"facts": {"bits": labels}}
        self._look_ahead()
        last = self.left == 0
        return self._observation(), float(rng.normal()), terminated and last, truncated and last, info

    def _look_ahead(self) -> None:
        self.foreseen = self.np_random.integers(0, 8, size=3)

    def _observation(self) -> NDArray[np.float32]:
        return self.np_random.random(2, dtype=np.float32)


class BitsLabeller:
    """Reads the labels from the facts; one environment or many."""

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        return int(info["facts"]["bits"])

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> NDArray[np.int64]:
        return np.asarray(infos["facts"]["bits"])

    def foresee(self, env: Any) -> NDArray[np.int64]:
        inner = env.unwrapped
        return inner.foreseen if isinstance(inner, Drawn) else np.stack([one.unwrapped.foreseen for one in inner.envs])

    def certain(self, env: Any) -> NDArray[np.bool_]:
        return np.broadcast_to(np.array([True, False, False]), self.foresee(env).shape)


@pytest.fixture(scope="session")
def guards() -> dict[str, Safeguard]:
    """Two safeguards over fuel, spark and water, one of which speaks of the end."""
    return GUARDS


@pytest.fixture(scope="session")
def drawn() -> type[Drawn]:
    """The toy environment's class."""
    return Drawn


@pytest.fixture(scope="session")
def bits_labeller() -> type[BitsLabeller]:
    """The toy labeller's class."""
    return BitsLabeller


@pytest.fixture(scope="session")
def side_by_side() -> Callable[..., SyncVectorEnv]:
    """Makes a vector environment of toy environments."""

    def make(count: int, mode: AutoresetMode = AutoresetMode.DISABLED, copy: bool = True) -> SyncVectorEnv:
        return SyncVectorEnv([Drawn] * count, autoreset_mode=mode, copy=copy)

    return make
