"""`SafeguardVectorWrapper`: N environments side by side, watched by one safeguard, with arrays throughout.

The same as `SafeguardWrapper` on each of them, whichever of Gymnasium's autoreset modes the environments have. The
labels of a step that ends an episode come from that very step: in the mode SAME_STEP, from `final_info`.

Notation: N environments, S states, L label sets, A actions.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games import rows as shares
from safetune.games.estimate import HeldTables, ValueEstimate
from safetune.games.labeller import Labeller, as_labeller, called
from safetune.games.labels import LabelSource
from safetune.games.masks import action_masks
from safetune.games.observation import features, joined, with_features
from safetune.games.reward import DEFAULT_REWARD, EdgeTables, RewardSettings
from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class SafeguardVectorWrapper(gym.vector.VectorWrapper[Any, Any, Any, Any, Any]):
    """Watches N environments.

    `infos` has arrays (N,), each with Gymnasium's mask `_key` of the environments that made a step: `cost`,
    `task_reward`, and under `safeguard` the `state`, the bits of the rules `broken` and of the `labels` that held, and
    `cornered` (see `SafeguardWrapper`). All speak of the step just made, like the reward; but `state` is the state
    now, which is the initial one where SAME_STEP began another episode; then `final_info` has the last state.

    Arguments as for `SafeguardWrapper`; `end_on_violation` needs environments with the autoreset mode DISABLED.
    """

    def __init__(
        self,
        envs: gym.vector.VectorEnv[Any, Any, Any],
        guard: Safeguard,
        labeller: Any = None,
        *,
        reward: RewardSettings = DEFAULT_REWARD,
        observe: str = "none",
        end_on_violation: bool = False,
    ) -> None:
        super().__init__(envs)
        reward.require(end_on_violation)
        self.guard, self.settings, self.end_on_violation = guard, reward, end_on_violation
        self.mode = autoreset_mode(envs, end_on_violation)
        self.labeller: Labeller = as_labeller(guard, envs, labeller)
        self._source = LabelSource(guard, self.labeller)
        self._features = features(guard, observe, reward.kappa)
        if self._features is not None:
            count = self._features.shape[1]
            self.single_observation_space = with_features(envs.single_observation_space, count)
            self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, envs.num_envs)
        self._tables = EdgeTables.of(guard, reward)
        self._end = guard.encode([END]) if END in guard.propositions else 0
        self._estimate = ValueEstimate(guard, reward) if reward.estimated else None
        self._held = None if self._estimate is None else HeldTables(envs.num_envs, self._estimate.table)
        self._all, self._none = _constant(envs.num_envs, True), _constant(envs.num_envs, False)
        self._state = np.full(envs.num_envs, guard.initial, dtype=np.int64)
        self._done, self._cornered, self._steps = self._none, self._none, 0

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes: all, or those that `options["reset_mask"]` (N,) marks."""
        mask = (options or {}).get("reset_mask")
        begun = self._all if mask is None else np.asarray(mask, dtype=np.bool_)
        observations, infos = self.env.reset(seed=seed, options=None if options is None else dict(options))
        self._begin(begun)
        self._done = self._done & ~begun
        zeros = np.zeros(self.num_envs, dtype=np.int64)
        return self._shown(observations), self._told(infos, zeros * 0.0, zeros * 0.0, zeros, zeros, begun)

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Make a step in each environment and judge them all."""
        if self.mode is AutoresetMode.DISABLED and self._done.any():
            raise GameError(
                f"step: the episodes of environments {np.flatnonzero(self._done).tolist()} have ended; begin others "
                "with reset(options={'reset_mask': mask}) before the next step"
            )
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self._steps += 1
        begun = self._done if self.mode is AutoresetMode.NEXT_STEP and self._done.any() else None
        task = self._checked_rewards(rewards)
        done = terminated | truncated
        bits = self._labels(observations, actions, infos, done, begun)
        keys = self._state * self.guard.n_labels + bits
        cost, broken = self._tables.cost.take(keys), self._tables.broken.take(keys)
        if self.end_on_violation:
            terminated = terminated | (broken != 0)
            done = terminated | truncated
        reward = task + self._advance(keys, terminated, begun)
        if begun is not None:
            cost[begun], broken[begun], reward[begun] = 0.0, 0, task[begun]
            self._begin(begun)
        self._done = done
        infos = self._told(infos, cost, task, broken, bits, self._all if begun is None else ~begun)
        self._cornered = self._none
        if self.mode is AutoresetMode.SAME_STEP and done.any():
            infos = self._begin_anew(infos, done)
        return self._shown(observations), reward, terminated, truncated, infos

    def action_masks(self) -> Bools:
        """(N, A) which actions break no rule now; where all do, the least costly ones."""
        space = self.single_action_space
        allowed, self._cornered = action_masks(self.guard, self.labeller, self.env, space, self._state)
        return allowed

    @property
    def state(self) -> Ints:
        """(N,) the safeguard's states."""
        return self._state.copy()

    @property
    def label_counts(self) -> Ints | None:
        """(S, L) the labels seen in each state, where the potential is estimated from them; may be set."""
        return None if self._estimate is None else self._estimate.counts

    @label_counts.setter
    def label_counts(self, counts: Ints) -> None:
        if self._estimate is None:
            raise GameError("label_counts: nothing is estimated from labels; it needs reward.potential = 'value'")
        self._estimate.counts = counts

    def _where(self) -> str:
        return f"{called(self.env)}: step {self._steps}"

    def _checked_rewards(self, rewards: Any) -> NDArray[np.float64]:
        task = np.asarray(rewards, dtype=np.float64)
        if not np.isfinite(task).all():
            row = int(np.flatnonzero(~np.isfinite(task))[0])
            raise GameError(
                f"{self._where()}: the reward of environment {row} is {task[row]}, expected a finite number"
            )
        return task

    def _labels(self, observations: Any, actions: Any, infos: dict[str, Any], done: Bools, begun: Bools | None) -> Ints:
        """(N,) labels of the step just made; 0 where the step was a reset."""
        if begun is not None and begun.all():
            return np.zeros(self.num_envs, dtype=np.int64)
        if self.mode is AutoresetMode.SAME_STEP and done.any():
            observations, infos = shares.last_step(observations, infos, done, self._where)
        bits = self._source((observations, actions, infos), begun, self._where)
        if self._end and done.any():
            bits = bits | np.where(done, self._end, 0)
        return bits

    def _advance(self, keys: Ints, terminated: Bools, begun: Bools | None) -> NDArray[np.float64]:
        """Move the safeguard on; (N,) what is added to the task's reward."""
        before, after = self._state, self._tables.next_state.take(keys)
        self._state = after
        reward = self._tables.reward.take(keys)
        if self._estimate is None or self._held is None:
            if self.settings.shaped and terminated.any():
                reward -= np.where(terminated, self._tables.kept.take(after), 0.0)
            return reward
        self._estimate.count(keys if begun is None else keys[~begun])
        kept = np.where(terminated, 0.0, self.settings.gamma * self._held.of(after))
        return reward + kept - self._held.of(before)

    def _begin(self, begun: Bools) -> None:
        self._state = np.where(begun, self.guard.initial, self._state)
        self._cornered = self._cornered & ~begun
        if self._held is not None and self._estimate is not None:
            self._held.give(begun, self._estimate.refresh())

    def _begin_anew(self, infos: dict[str, Any], done: Bools) -> dict[str, Any]:
        """SAME_STEP: what was last said of the ended episodes goes into `final_info`."""
        told = {key: infos[key] for key in ("cost", "_cost", "task_reward", "_task_reward")}
        verdict = {key: done if key.startswith("_") else value for key, value in infos["safeguard"].items()}
        final = {**infos["final_info"], **told, "_cost": done, "_task_reward": done}
        infos["final_info"] = {**final, "safeguard": verdict, "_safeguard": done}
        if self._features is not None:
            infos["final_obs"] = self._final_shown(infos["final_obs"], done)
        self._begin(done)
        infos["safeguard"] = {**infos["safeguard"], "state": self._state}
        return infos

    def _final_shown(self, final: Any, done: Bools) -> Any:
        assert self._features is not None
        shown = self._features.take(self._state, axis=0)
        if not isinstance(final, np.ndarray) or final.dtype != object:
            return joined(final, shown)
        result = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done):
            result[row] = joined(final[row], shown[row])
        return result

    def _shown(self, observations: Any) -> Any:
        if self._features is None:
            return observations
        return joined(observations, self._features.take(self._state, axis=0))

    def _told(
        self, infos: dict[str, Any], cost: Any, task: Any, broken: Ints, bits: Ints, made: Bools
    ) -> dict[str, Any]:
        verdict = {
            "state": self._state,
            "_state": made,
            "broken": broken,
            "_broken": made,
            "labels": bits,
            "_labels": made,
            "cornered": self._cornered,
            "_cornered": made,
        }
        told = {"cost": cost, "_cost": made, "task_reward": task, "_task_reward": made}
        return {**infos, **told, "safeguard": verdict, "_safeguard": made}


def autoreset_mode(envs: gym.vector.VectorEnv[Any, Any, Any], end_on_violation: bool = False) -> AutoresetMode:
    """The autoreset mode that a vector environment declares, if it will do."""
    declared = envs.metadata.get("autoreset_mode")
    try:
        mode = AutoresetMode(declared)
    except ValueError:
        raise GameError(
            f"{called(envs)}: metadata['autoreset_mode'] is {declared!r}, expected one of Gymnasium's AutoresetMode"
        ) from None
    if end_on_violation and mode is not AutoresetMode.DISABLED:
        raise GameError(
            f"end_on_violation: {called(envs)} resets its environments by itself ({mode.name}) and would not at a "
            "violation; make it with autoreset_mode = AutoresetMode.DISABLED and call "
            "reset(options={'reset_mask': mask}), or wrap each environment in a SafeguardWrapper"
        )
    return mode


def _constant(count: int, value: bool) -> Bools:
    array = np.full(count, value)
    array.setflags(write=False)
    return array
