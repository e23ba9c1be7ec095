"""`SafeguardWrapper`: a Gymnasium environment watched by a safeguard.

The labels of each step drive the safeguard; its verdict is in `info` and changes the reward (see `reward`). No step is
made at reset: the safeguard is in its initial state, and the first label comes with the first step. The built-in `end`
holds at the last step, terminated or truncated. A step that ends the episode only because it breaks a rule
(`end_on_violation`) is judged as it was: `end` does not hold there, so that nothing due at the end is charged as well.
"""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.estimate import ValueEstimate
from safetune.games.labeller import Labeller, as_labeller, called
from safetune.games.labels import checked_labels
from safetune.games.masks import action_masks
from safetune.games.observation import features, joined, with_features
from safetune.games.reward import DEFAULT_REWARD, RewardSettings
from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END


class SafeguardWrapper(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Watches one environment.

    `info` has `cost`, `task_reward` (the reward of the environment itself) and `safeguard`: the `state` after the
    step, the names of the rules `broken` and of the `labels` that held, and whether the agent was `cornered`, that is,
    whether every action would have broken a rule when `action_masks` was last asked for this step.

    Args:
        env: the environment.
        guard: the safeguard.
        labeller: a labeller, a world's name, `module:function`, or functions by proposition; by default the
            environment's own world's.
        reward: how verdicts become rewards.
        observe: what is added to the observation: `none`, `state` or `danger` (see `observation`).
        end_on_violation: whether a violation terminates the episode.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        guard: Safeguard,
        labeller: Any = None,
        *,
        reward: RewardSettings = DEFAULT_REWARD,
        observe: str = "none",
        end_on_violation: bool = False,
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,  # a safeguard is immutable, and a labeller may hold the environment
            guard=guard,
            labeller=labeller,
            reward=reward,
            observe=observe,
            end_on_violation=end_on_violation,
        )
        super().__init__(env)
        reward.require(end_on_violation)
        self.guard, self.settings, self.end_on_violation = guard, reward, end_on_violation
        self.labeller: Labeller = as_labeller(guard, env, labeller)
        self._features = features(guard, observe, reward.kappa)
        if self._features is not None:
            self.observation_space = with_features(env.observation_space, self._features.shape[1])
        self._end = guard.encode([END]) if END in guard.propositions else 0
        self._estimate = ValueEstimate(guard, reward) if reward.estimated else None
        self._potential = reward.fixed_potential(guard)
        self._state, self._cornered, self._steps = guard.initial, False, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, with the safeguard in its initial state."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._state, self._cornered, self._steps = self.guard.initial, False, 0
        if self._estimate is not None:
            self._potential = self._estimate.refresh()
        return self._shown(observation), self._told(info, 0.0, 0.0, 0, 0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make a step and judge it."""
        observation, task, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        task = float(task)
        if not math.isfinite(task):
            raise GameError(f"{called(self.env)}: step {self._steps}: the reward is {task}, expected a finite number")
        bits = self._labels(observation, action, info)
        if self._end and (terminated or truncated):
            bits |= self._end
        cost, broken = float(self.guard.cost[self._state, bits]), int(self.guard.broken[self._state, bits])
        terminated = bool(terminated) or (self.end_on_violation and broken != 0)
        reward = task + self._advance(bits, cost, broken, terminated)
        info = self._told(info, cost, task, broken, bits)
        self._cornered = False
        return self._shown(observation), reward, terminated, bool(truncated), info

    def action_masks(self) -> NDArray[np.bool_]:
        """(A,) which actions break no rule now; where all do, the least costly ones."""
        allowed, cornered = action_masks(self.guard, self.labeller, self.env, self.action_space, self._state)
        self._cornered = bool(cornered)
        return allowed

    @property
    def state(self) -> int:
        """The safeguard's state."""
        return self._state

    @property
    def label_counts(self) -> NDArray[np.int64] | None:
        """(S, L) the labels seen in each state, where the potential is estimated from them; may be set."""
        return None if self._estimate is None else self._estimate.counts

    @label_counts.setter
    def label_counts(self, counts: NDArray[np.int64]) -> None:
        if self._estimate is None:
            raise GameError("label_counts: nothing is estimated from labels; it needs reward.potential = 'value'")
        self._estimate.counts = counts

    def _labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        answer = self.labeller.labels(observation, action, info)
        return checked_labels(self.guard, answer, lambda: f"{called(self.env)}: step {self._steps}")

    def _advance(self, bits: int, cost: float, broken: int, terminated: bool) -> float:
        """Move the safeguard on; what is added to the task's reward."""
        before, after = self._state, int(self.guard.next_state[self._state, bits])
        self._state = after
        kept = 0.0 if terminated else self.settings.gamma * self._potential[after]
        shaping = float(kept - self._potential[before])
        if self._estimate is not None:
            self._estimate.count(before * self.guard.n_labels + bits)
        return float(self.settings.verdict_reward(cost, broken)) + shaping

    def _shown(self, observation: Any) -> Any:
        return observation if self._features is None else joined(observation, self._features[self._state].copy())

    def _told(self, info: dict[str, Any], cost: float, task: float, broken: int, bits: int) -> dict[str, Any]:
        verdict = {
            "state": self._state,
            "broken": self.guard.rule_names(broken) if broken else (),
            "labels": self.guard.decode(bits) if bits else (),
            "cornered": self._cornered,
        }
        return {**info, "cost": cost, "task_reward": task, "safeguard": verdict}
