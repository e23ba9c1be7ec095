"""Tabular Q-learning over an ordered list of safeguards, for many seeds at once: the paper's gridworld experiment.

Each environment is one seed with a table of its own. A stage lasts until every seed has had its episodes; seeds that
are ahead wait. Notation: N environments, that is seeds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from safetune.games.agents.tabular import QSettings, TabularQ
from safetune.games.evaluate import play_rows
from safetune.games.measures import Episode
from safetune.games.vector import SafeguardVectorWrapper


@dataclass
class Outcome:
    """What one stage, or the test, came to."""

    safeguard: str
    violating: NDArray[np.bool_]
    """(N, episodes) whether the episode broke a rule"""
    lengths: NDArray[np.int64]
    """(N, episodes)"""

    @property
    def violations(self) -> NDArray[np.int64]:
        """(N,) episodes that broke a rule."""
        return self.violating.sum(axis=1)


@dataclass
class Staged:
    """The learner between stages."""

    settings: QSettings = field(default_factory=QSettings)
    seed: int = 0
    learner: TabularQ | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def train(
        self, envs: SafeguardVectorWrapper, episodes: int, notice: Callable[[int], None] = lambda done: None
    ) -> Outcome:
        """Learn for this many episodes of each seed, under the safeguard that `envs` have.

        Args:
            envs: one environment a seed, the same ones at every stage but for the safeguard.
            episodes: of each seed.
            notice: called now and then with the episodes that are over, of all seeds together.
        """
        count = envs.num_envs
        if self.learner is None:
            n_actions = int(envs.single_action_space.n)
            self.learner = TabularQ(
                envs.single_observation_space, n_actions, self.settings, np.arange(count), self.seed
            )
        self.learner.begin_stage(envs.guard.n_states)
        outcome = Outcome(
            envs.guard.name, np.zeros((count, episodes), dtype=np.bool_), np.zeros((count, episodes), dtype=np.int64)
        )
        if episodes:
            self._fill(envs, self.learner, outcome, episodes, notice)
        self.outcomes.append(outcome)
        return outcome

    def test(self, envs: SafeguardVectorWrapper, episodes: int) -> Outcome:
        """Play greedily: this many episodes of each seed."""
        assert self.learner is not None
        played = play_rows(envs, self.learner.tested(), episodes * envs.num_envs, self.seed + 1_000_003)
        by_row = [episode for _, episode in sorted(played, key=lambda pair: pair[0])]
        return Outcome(
            envs.guard.name,
            _table(by_row, envs.num_envs, lambda episode: episode.violations > 0).astype(np.bool_),
            _table(by_row, envs.num_envs, lambda episode: episode.length),
        )

    def _fill(
        self,
        envs: SafeguardVectorWrapper,
        learner: TabularQ,
        outcome: Outcome,
        episodes: int,
        notice: Callable[[int], None],
    ) -> None:
        count = envs.num_envs
        done = np.zeros(count, dtype=np.int64)
        length, violated = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
        active: NDArray[np.bool_] | None = None  # all
        observations, _ = envs.reset(seed=self.seed + 7_919 * len(self.outcomes))
        rows = learner.rows(observations, envs.state)
        learner.meet(rows)
        while True:
            actions = learner.explore(rows)
            observations, rewards, terminated, truncated, infos = envs.step(actions)
            following = learner.rows(observations, infos["safeguard"]["state"])
            learner.meet(following, ~terminated if active is None else ~terminated & active)
            learner.learn(rows, actions, rewards, following, terminated, active)
            length += 1
            violated |= infos["safeguard"]["broken"] != 0
            rows = following
            ended = terminated | truncated
            if not ended.any():
                continue
            for row in np.flatnonzero(ended & (done < episodes)):
                outcome.violating[row, done[row]], outcome.lengths[row, done[row]] = violated[row], length[row]
                done[row] += 1
            length[ended], violated[ended] = 0, False
            if (done >= episodes).any():
                active = done < episodes
                if not active.any():
                    return
            notice(int(done.sum()))
            observations, _ = envs.reset(options={"reset_mask": ended})
            rows = learner.rows(observations, envs.state)
            learner.meet(rows, active)


def _table(episodes: Iterable[Episode], count: int, of: Callable[[Episode], int]) -> NDArray[np.int64]:
    """(N, episodes) a figure of episodes that are listed environment by environment."""
    return np.array([of(episode) for episode in episodes], dtype=np.int64).reshape(count, -1)
