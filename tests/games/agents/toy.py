"""A corridor of seven cells: the shield lies at the left end, the goal at the right, a fire before the goal.

The agent starts in the middle. The short way leads through the fire unprotected; the long one fetches the shield first.
"""

import os
import signal
from typing import Any

import gymnasium as gym
import numpy as np

SHIELD, START, FIRE, GOAL, LIMIT = 0, 3, 5, 6, 40
SPEC = """
name = "shield-before-fire"
[propositions]
fire = "stands in the fire"
shield = "is where the shield lies"
[[rule]]
name = "no fire without the shield"
always = "fire -> once shield"
"""
RECIPE = """
kind = "game"
name = "corridor"
spec = "spec.toml"
[env]
id = "tests.games.agents.toy:toy/Corridor-v0"
labeller = "tests.games.agents.toy:labeller"
count = 4
observe = "state"
[agent]
algorithm = "ppo"
steps = 256
[trainer]
n_steps = 16
[evaluate]
episodes = 6
"""


class Corridor(gym.Env[Any, Any]):
    """Actions: left, right. `die_at`: the step, of all, at which the game's engine breaks down."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, die_at: int = 0, kill: bool = False) -> None:
        self.observation_space = gym.spaces.Discrete(GOAL + 1)
        self.action_space = gym.spaces.Discrete(2)
        self.render_mode, self.die_at, self.kill = render_mode, die_at, kill
        self.steps = self.place = self.time = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.time = START, 0
        return self.place, {"facts": {"place": self.place}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.time += 1
        if self.die_at and self.steps == self.die_at and os.environ.get("TOY_DIES"):
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            from safetune.errors import GameError

            raise GameError("toy/Corridor-v0: the game's engine has stopped")
        self.place = int(np.clip(self.place + (1 if action else -1), 0, GOAL))
        over = self.place == GOAL
        info = {"facts": {"place": self.place}, "is_success": over}
        return self.place, 1.0 if over else -0.01, over, self.time >= LIMIT, info

    def render(self) -> Any:
        frame = np.full((8, 8 * (GOAL + 1), 3), 60, dtype=np.uint8)
        frame[:, 8 * self.place : 8 * self.place + 8] = (90, 180, 240)
        return frame


class Where:
    """Labels by the agent's place; foresees them as well."""

    def __init__(self, guard: Any) -> None:
        self.guard = guard
        bit = {name: 1 << index for index, name in enumerate(guard.propositions)}
        self.at = np.zeros(GOAL + 1, dtype=np.int64)
        self.at[FIRE], self.at[SHIELD] = bit.get("fire", 0), bit.get("shield", 0)

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        return int(self.at[info["facts"]["place"]])

    def foresee(self, env: Any) -> np.ndarray:
        inner = env.unwrapped
        places = np.array([one.unwrapped.place for one in inner.envs] if hasattr(inner, "envs") else inner.place)
        return self.at[np.clip(places[..., None] + np.array([-1, 1]), 0, GOAL)]


class Blind:
    """Labels without foresight."""

    def __init__(self, guard: Any) -> None:
        self.labels = Where(guard).labels


def blind_labeller(guard: Any, env: Any) -> Blind:
    return Blind(guard)


def labeller(guard: Any, env: Any) -> Where:
    return Where(guard)


if "toy/Corridor-v0" not in gym.registry:
    gym.register("toy/Corridor-v0", Corridor)
