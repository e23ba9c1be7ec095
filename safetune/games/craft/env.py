"""`CraftEnv`: one Craft environment, as Gymnasium's `Env`."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from safetune.errors import GameError, choices, nearest
from safetune.games.craft.layout import Layout
from safetune.games.craft.render import TILE, Picture, show
from safetune.games.craft.world import World

RENDER_MODES = ("rgb_array", "human")


class CraftEnv(gym.Env[Any, Any]):
    """One environment on a map.

    `info["facts"]` tells of the step made: `position` (the number of the agent's cell), `cell` (what it holds, bits of
    `names.CELLS`), `action`, `creeper` and `cow` (distances), `inventory` (counts of `names.ITEMS`); `is_success`
    is true once the last sub-goal is reached. After a reset, where no step was made, the action is -1.

    Args:
        map: the name of a map of the package, or the path of one.
        observation: `egocentric`, `symbolic` or `cell`.
        view: how far an egocentric observation reaches, in cells.
        slip: probability that an action is replaced by a random one, instead of the map's.
        max_episode_steps: length at which an episode is truncated, instead of the map's.
        render_mode: `rgb_array`, `human` (a window of matplotlib) or none.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 8}  # noqa: RUF012
    world = "craft"

    def __init__(
        self,
        map: str | Path = "valley",
        *,
        observation: str = "egocentric",
        view: int = 3,
        slip: float | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.craft = World(
            Layout.load(map), 1, observation=observation, view=view, slip=slip, max_episode_steps=max_episode_steps
        )
        self.observation_space = self.craft.observation_space
        self.action_space = gym.spaces.Discrete(len(self.craft.actions))
        self.render_mode = checked_render_mode(render_mode)
        self._seeded = self._begun = False
        self._stepping = np.zeros(1, dtype=np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            number = seed if seed is not None else int(self.np_random.integers(2**63))
            self.craft.seed(np.array([number], dtype=np.uint64))
        self._seeded = self._begun = True
        out = self.craft.reset()
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._info(out)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make one step."""
        if not self._begun:
            raise GameError("step: call reset() first")
        out = self.craft.step(np.array([action], dtype=np.int64), self._stepping)
        if self.render_mode == "human":
            self.render()
        ended = bool(out.ended[0, 0]), bool(out.ended[1, 0])
        return self._observation(), float(out.reward[0]), *ended, self._info(out)

    def render(self) -> Any:
        """The picture of this moment, (rows, columns, 3); in `human` mode it is shown instead."""
        if self.render_mode is None:
            raise GameError(f"render: make the environment with render_mode, one of {choices(RENDER_MODES)}")
        frame = Picture.of(self.craft, 0).draw(TILE)
        if self.render_mode == "human":
            show(frame, self.metadata["render_fps"])
            return None
        return frame

    def _observation(self) -> Any:
        seen = self.craft.observe()[0]
        return np.int64(seen) if self.craft.observation == "cell" else seen

    def _info(self, out: Any) -> dict[str, Any]:
        position, cell, action, creeper, cow = out.facts[:, 0].tolist()
        facts = {"position": position, "cell": cell, "action": action, "creeper": creeper, "cow": cow}
        return {"facts": {**facts, "inventory": out.items[0]}, "is_success": bool(self.craft.succeeded()[0])}


def checked_render_mode(mode: str | None) -> str | None:
    """The render mode, if it is one."""
    if mode is not None and mode not in RENDER_MODES:
        hint = nearest(str(mode), RENDER_MODES)
        raise GameError(f"render_mode: got {mode!r}, expected one of {choices(RENDER_MODES)}.{hint}")
    return mode
