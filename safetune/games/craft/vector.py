"""`CraftVectorEnv`: many Craft environments in one batch, as Gymnasium's `VectorEnv`."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from safetune.errors import GameError, choices
from safetune.games.craft.env import RENDER_MODES, checked_render_mode
from safetune.games.craft.layout import Layout
from safetune.games.craft.render import TILE, Picture
from safetune.games.craft.world import World

Bools = NDArray[np.bool_]


class CraftVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """`num_envs` environments on one map, stepped together; arguments and facts as those of `CraftEnv`.

    With `reset(seed=s)`, environment i goes through the same episodes as a `CraftEnv` reset with seed s + i.
    `info["facts"]` and `info["is_success"]` are arrays with a row for each environment, beside Gymnasium's masks.

    Args:
        num_envs: how many.
        autoreset_mode: Gymnasium's: `NextStep`, `SameStep`, or `Disabled` (then ended episodes are begun anew with
            `reset(options={"reset_mask": mask})`).
    """

    world = "craft"

    def __init__(
        self,
        num_envs: int = 1,
        map: str | Path = "valley",
        *,
        observation: str = "egocentric",
        view: int = 3,
        slip: float | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        layout = Layout.load(map)
        self.craft = World(
            layout, num_envs, observation=observation, view=view, slip=slip, max_episode_steps=max_episode_steps
        )
        self.num_envs = num_envs
        self.render_mode = checked_render_mode(render_mode)
        self._mode = _mode(autoreset_mode)
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": 8, "autoreset_mode": self._mode}
        self.single_observation_space = self.craft.observation_space
        self.single_action_space = gym.spaces.Discrete(len(self.craft.actions))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._none, self._all = np.zeros(num_envs, dtype=np.bool_), np.ones(num_envs, dtype=np.bool_)
        self._done: Bools = self._none
        self._begun = False

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes: all, or those that `options["reset_mask"]` (N,) marks; `seed` is one, or one for each."""
        mask = _mask(options, self.num_envs)
        if not self._begun and mask is not None:
            raise GameError("reset: the first reset is of all environments, got a 'reset_mask'")
        rows = self._all if mask is None else mask
        self._seed(seed, rows)
        self._begun = True
        out = self.craft.reset(rows)
        self._done = self._done & ~rows
        return self.craft.observe(), self._info(out, rows)

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Make a step in each environment."""
        if not self._begun:
            raise GameError("step: call reset() first")
        fresh = self._none if self._mode is AutoresetMode.SAME_STEP else self._done
        if self._mode is AutoresetMode.DISABLED and fresh.any():
            ended = np.flatnonzero(fresh).tolist()
            raise GameError(
                f"step: the episodes of environments {ended} have ended; begin new ones with "
                "reset(options={'reset_mask': mask})"
            )
        out = self.craft.step(self._actions(actions), fresh)
        terminated, truncated = out.ended
        self._done = terminated | truncated
        seen = self.craft.observe()
        if self._mode is AutoresetMode.SAME_STEP and self._done.any():
            seen, info = self._begin_anew(seen, out)
        else:
            info = self._info(out, self._all if fresh is self._none or not fresh.any() else ~fresh)
        return seen, out.reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture of each environment, (rows, columns, 3)."""
        if self.render_mode is None:
            raise GameError(f"render: make the environments with render_mode, one of {choices(RENDER_MODES)}")
        return tuple(Picture.of(self.craft, row).draw(TILE) for row in range(self.num_envs))

    def _begin_anew(self, seen: Any, out: Any) -> tuple[Any, dict[str, Any]]:
        """SAME_STEP: reset what has ended; the ended episodes' last words go into `final_obs` and `final_info`."""
        done = self._done
        last = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done):
            last[row] = seen[row].copy()
        final = {"final_obs": last, "final_info": self._info(out, done)}
        final |= {"_final_obs": done.copy(), "_final_info": done.copy()}
        first = self.craft.reset(done)
        # The others' facts are those of the step that they made.
        facts, items = np.where(done, first.facts, out.facts), np.where(done[:, None], first.items, out.items)
        info = self._info(first._replace(facts=facts, items=items), self._all)
        return self.craft.observe(seen, done), {**info, **final}

    def _info(self, out: Any, told: Bools) -> dict[str, Any]:
        return {
            "facts": self.craft.facts(out),
            "_facts": told.copy(),
            "is_success": self.craft.succeeded(),
            "_is_success": told.copy(),
        }

    def _actions(self, actions: Any) -> NDArray[np.int64]:
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or not np.issubdtype(chosen.dtype, np.integer):
            got = f"{chosen.dtype} of shape {chosen.shape}"
            raise GameError(f"step: expected whole numbers of shape ({self.num_envs},) as actions, got {got}")
        return chosen.astype(np.int64, copy=False)

    def _seed(self, seed: Any, rows: Bools) -> None:
        """Seed what has to be seeded: each environment its own stream, as a single environment would."""
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + row for row in range(self.num_envs)]
        if seed is None:
            if not self._begun:
                self.craft.seed(self.np_random.integers(2**63, size=self.num_envs, dtype=np.uint64))
            return
        if len(seed) != self.num_envs:
            raise GameError(f"reset: seed: expected one whole number or {self.num_envs}, got {len(seed)}")
        given = np.array([one is not None for one in seed]) & rows
        if not self._begun and not given.all():
            self.craft.seed(self.np_random.integers(2**63, size=self.num_envs, dtype=np.uint64))
        self.craft.seed(np.array([0 if one is None else one for one in seed], dtype=np.uint64), given)


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(given)
    except ValueError:
        valid = choices(mode.value for mode in AutoresetMode)
        raise GameError(f"autoreset_mode: got {given!r}, expected one of {valid}") from None


def _mask(options: dict[str, Any] | None, count: int) -> Bools | None:
    if options is None or "reset_mask" not in options:
        return None
    mask = np.asarray(options["reset_mask"])
    if mask.shape != (count,) or mask.dtype != np.bool_:
        raise GameError(f"reset: reset_mask: expected bools of shape ({count},), got {mask.dtype} of {mask.shape}")
    return mask
