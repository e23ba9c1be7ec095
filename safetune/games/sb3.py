"""`SB3VecEnv`: a batched environment as stable-baselines3 wants it.

stable-baselines3 steps a `VecEnv` whose episodes begin anew in the step that ends them. The environments here have the
autoreset mode DISABLED, so that an episode that a violation ended can begin anew as well.

Info dicts are what a step costs here, so they hold only what is read: at the end of an episode its last observation,
whether a time limit cut it, and its statistics. The arrays of every step are in `step_infos`.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from safetune.errors import GameError
from safetune.games.labeller import ForeseeingLabeller, called
from safetune.games.rows import row_of
from safetune.games.vector import autoreset_mode


class SB3VecEnv(VecEnv):
    """N environments for stable-baselines3.

    `info["episode"]`, at the last step of an episode, has `r`, the task's return; `shaped`, the return that was learnt
    from; `l`, its steps; `cost`; and `violations`, the steps that broke a rule. `info["is_success"]` is there where the
    environment says it.

    Args:
        env: a `SafeguardVectorWrapper`, or any vector environment, with the autoreset mode DISABLED.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        if autoreset_mode(env) is not AutoresetMode.DISABLED:
            raise GameError(
                f"SB3VecEnv: {called(env)} resets its environments by itself; "
                "make it with autoreset_mode = AutoresetMode.DISABLED"
            )
        self.env = env
        self.step_infos: dict[str, Any] = {}
        self._sums = {key: np.zeros(env.num_envs) for key in ("r", "shaped", "l", "cost", "violations")}
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = env.metadata

    def reset(self) -> Any:
        """Begin an episode in each environment; the first observations."""
        options = self._options[0] if any(self._options) else None
        observations, self.step_infos = self.env.reset(seed=self._seeds[0], options=options)
        self._reset_seeds()
        self._reset_options()
        for sums in self._sums.values():
            sums[:] = 0
        return _copied(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Make the step; where episodes ended, others begin."""
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        self.step_infos = infos
        self._add_up(rewards, infos)
        done = terminated | truncated
        told: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            for row in map(int, np.flatnonzero(done)):
                told[row] = self._last_words(row, observations, bool(truncated[row] and not terminated[row]), infos)
            for sums in self._sums.values():
                sums[done] = 0
            observations, _ = self.env.reset(options={"reset_mask": done})
        return _copied(observations), rewards.astype(np.float32), done, told

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environments have an attribute; `action_masks` only where the labeller can foresee."""
        if attr_name == "action_masks":
            return isinstance(getattr(self.env, "labeller", None), ForeseeingLabeller)
        return hasattr(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batched environment's attribute, once for each environment."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the batched environment's attribute: for all environments or none."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise GameError(f"SB3VecEnv: '{attr_name}' belongs to all environments together; set it without indices")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the batched environment, which answers for all; each environment's share of the answer."""
        answer = getattr(self.env, method_name)(*args, **kwargs)
        if answer is None:
            return [None for _ in self._get_indices(indices)]
        if len(answer) != self.num_envs:
            raise GameError(f"SB3VecEnv: {method_name} returned {len(answer)} values for {self.num_envs} environments")
        return [answer[row] for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Whether episodes are counted as by this wrapper: yes for `Monitor`, whose statistics are kept here."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of each environment."""
        frames: Any = self.env.render()
        return frames or [None] * self.num_envs

    def _add_up(self, rewards: NDArray[np.float64], infos: dict[str, Any]) -> None:
        sums, verdict = self._sums, infos.get("safeguard")
        sums["r"] += infos.get("task_reward", rewards)
        sums["shaped"] += rewards
        sums["l"] += 1
        if verdict is not None:
            sums["cost"] += infos["cost"]
            sums["violations"] += verdict["broken"] != 0

    def _last_words(self, row: int, observations: Any, cut: bool, infos: dict[str, Any]) -> dict[str, Any]:
        episode = {key: float(sums[row]) for key, sums in self._sums.items()}
        episode["l"], episode["violations"] = int(episode["l"]), int(episode["violations"])
        told = {
            "terminal_observation": _copied(row_of(observations, row)),
            "TimeLimit.truncated": cut,
            "episode": episode,
        }
        mask = infos.get("_is_success")
        if "is_success" in infos and (mask is None or mask[row]):
            told["is_success"] = bool(infos["is_success"][row])
        return told


def _copied(observations: Any) -> Any:
    """A copy: an environment may write the next observations into the same arrays."""
    if isinstance(observations, dict):
        return {key: _copied(value) for key, value in observations.items()}
    return np.array(observations)
