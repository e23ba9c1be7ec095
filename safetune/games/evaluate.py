"""Playing episodes with a policy and counting what happens in them.

Notation: N environments side by side.
"""

import copy
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safetune.games.measures import Episode
from safetune.games.vector import SafeguardVectorWrapper

Bools = NDArray[np.bool_]


class Actor(Protocol):
    """A policy at work: what it remembers of an episode, it keeps itself."""

    def __call__(self, observations: Any, begun: Bools, states: NDArray[np.int64], masks: Any) -> NDArray[Any]:
        """(N, …) an action for each observation; `begun` (N,) marks first steps, `states` (N,) are the safeguard's.

        `masks` is a function that returns the (N, A) allowed actions, for who wants them.
        """
        ...


def play(envs: SafeguardVectorWrapper, actor: Actor, episodes: int, seed: int) -> list[Episode]:
    """Play this many episodes, the same ones for the same seed and number of environments."""
    return [episode for _, episode in play_rows(envs, actor, episodes, seed)]


def play_rows(envs: SafeguardVectorWrapper, actor: Actor, episodes: int, seed: int) -> list[tuple[int, Episode]]:
    """The same, each episode with the environment that played it.

    Each environment plays its share: taking whichever end first would favour short episodes. What an estimated
    potential has learnt of the labels is left as it was.
    """
    counts = copy.copy(envs.label_counts)
    try:
        return list(_play(envs, actor, episodes, seed))
    finally:
        if counts is not None:
            envs.label_counts = counts


def _play(envs: SafeguardVectorWrapper, actor: Actor, episodes: int, seed: int) -> Iterator[tuple[int, Episode]]:
    count = envs.num_envs
    share = (episodes + count - 1 - np.arange(count)) // count
    tally = Tally(count, len(envs.guard.rules))
    observations, _ = envs.reset(seed=seed)
    begun = np.ones(count, dtype=np.bool_)
    while share.any():
        actions = actor(observations, begun, envs.state, envs.action_masks)
        observations, _, terminated, truncated, infos = envs.step(actions)
        begun = terminated | truncated
        for row, episode in tally.add(infos, begun):
            if share[row] > 0:
                share[row] -= 1
                yield row, episode
        if begun.any() and share.any():
            observations, _ = envs.reset(options={"reset_mask": begun})


class Tally:
    """Adds up N episodes in progress."""

    def __init__(self, count: int, n_rules: int) -> None:
        self._task, self._cost = np.zeros(count), np.zeros(count)
        self._length, self._violations = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self._rules = np.zeros((count, n_rules), dtype=np.int64)
        self._made = self._broken = 0

    def violations_per_1k_steps(self) -> float:
        """Since this was last asked; also where no episode has ended."""
        rate = 1000.0 * self._broken / max(self._made, 1)
        self._made = self._broken = 0
        return rate

    def add(self, infos: dict[str, Any], done: Bools) -> list[tuple[int, Episode]]:
        """Add a step; the episodes that it ended, with their row."""
        self._task += infos["task_reward"]
        self._cost += infos["cost"]
        self._length += 1
        self._made += len(self._length)
        broken = infos["safeguard"]["broken"]
        if broken.any():
            self._violations += broken != 0
            self._broken += int(np.count_nonzero(broken))
            self._rules += broken[:, None] >> np.arange(self._rules.shape[1]) & 1
        return [(int(row), self._take(int(row), infos)) for row in np.flatnonzero(done)] if done.any() else []

    def _take(self, row: int, infos: dict[str, Any]) -> Episode:
        said = infos.get("_is_success")
        known = "is_success" in infos and (said is None or bool(said[row]))
        episode = Episode(
            task_return=float(self._task[row]),
            length=int(self._length[row]),
            cost=float(self._cost[row]),
            violations=int(self._violations[row]),
            rules=tuple(self._rules[row].tolist()),
            success=bool(infos["is_success"][row]) if known else None,
        )
        for column in (self._task, self._cost, self._length, self._violations, self._rules):
            column[row] = 0
        return episode
