"""Tabular Q-learning on the product: the optimum is found, and safety bias carries over as described."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from safetune.errors import GameError
from safetune.games import RewardSettings, SafeguardVectorWrapper
from safetune.games.agents.staged import Staged
from safetune.games.agents.tabular import QSettings, TabularQ, numbering
from safetune.games.evaluate import play
from safetune.safeguard import Safeguard, Spec
from tests.games.agents.toy import SPEC, Corridor, Where

GUARD = Safeguard.from_spec(Spec.parse(SPEC))
NEVER = Safeguard.from_spec(Spec.parse(SPEC.replace("fire -> once shield", "!fire & (shield | !shield)")))


def watched(count: int, guard: Safeguard = GUARD, **settings: object) -> SafeguardVectorWrapper:
    envs = gym.vector.SyncVectorEnv([Corridor] * count, autoreset_mode=AutoresetMode.DISABLED)
    reward = RewardSettings(form="sparse", gamma=0.9)
    return SafeguardVectorWrapper(envs, guard, Where(guard), reward=reward, **settings)  # type: ignore[arg-type]


def learner(n_observations: int = 3, tables: int = 1, epsilon: float = 0.0) -> TabularQ:
    space = gym.spaces.Discrete(n_observations)
    return TabularQ(space, 2, QSettings(epsilon=epsilon), np.arange(tables), seed=0)


def test_the_long_safe_way_is_learnt_by_every_seed() -> None:
    envs = watched(5)
    staged = Staged(QSettings(gamma=0.95, alpha=0.5, epsilon=0.3))
    outcome = staged.train(envs, 150)
    assert outcome.violating.shape == (5, 150)
    assert outcome.violations.min() > 0
    assert staged.learner is not None
    episodes = play(envs, staged.learner.tested(), 5, seed=1)
    assert [(episode.violations, episode.success, episode.length) for episode in episodes] == [(0, True, 9)] * 5
    assert staged.test(envs, 3).violating.tolist() == [[False] * 3] * 5


def test_one_update_is_the_one_of_the_books() -> None:
    table = learner()
    table.begin_stage(2)
    stage = table.stages[0]
    rows = table.rows(np.array([1]), np.array([0]))
    following = table.rows(np.array([2]), np.array([1]))
    stage.values[rows] = [[0.5, 1.0]]
    stage.values[following] = [[2.0, 3.0]]
    arguments = (rows, np.array([0]), np.array([0.25]), following)
    table.learn(*arguments, np.array([False]), None)
    assert stage.values[rows[0]].tolist() == pytest.approx([0.5 + 0.9 * (0.25 + 0.9 * 3.0 - 0.5), 1.0])
    stage.values[rows] = [[0.5, 1.0]]
    table.learn(*arguments, np.array([True]), None)
    assert stage.values[rows[0], 0] == pytest.approx(0.5 + 0.9 * (0.25 - 0.5))


def test_a_product_state_first_met_starts_from_the_mean_of_earlier_rows_of_its_observation() -> None:
    table = learner(n_observations=2, tables=2)
    table.begin_stage(2)
    first = table.stages[0]
    observations = np.array([1, 1])
    for state, value in ((0, 1.0), (1, 3.0)):
        rows = table.rows(observations, np.array([state, state]))
        table.meet(rows, np.array([True, state == 0]))  # the second table never meets state 1
        first.values[rows] = value
    table.begin_stage(3)
    rows = table.rows(observations, np.array([2, 2]))
    table.meet(rows)
    assert table.stages[1].values[rows].tolist() == [[2.0, 2.0], [1.0, 1.0]]
    table.stages[1].values[rows] = 9.0
    table.meet(rows)  # met before: nothing changes
    assert (table.stages[1].values[rows] == 9.0).all()
    elsewhere = table.rows(np.array([0, 0]), np.array([0, 0]))
    table.meet(elsewhere)
    assert (table.stages[1].values[elsewhere] == 0.0).all()


def test_in_tests_an_unknown_state_falls_back_to_the_first_safeguard() -> None:
    table = learner(n_observations=2)
    table.begin_stage(1)
    known = table.rows(np.array([1]), np.array([0]))
    table.meet(known)
    table.stages[0].values[known] = [[0.0, 1.0]]
    table.begin_stage(2)
    met = table.rows(np.array([1]), np.array([1]))
    table.meet(met)
    table.stages[1].values[met] = [[1.0, 0.0]]
    tested = table.tested()
    begun = np.array([True])
    assert tested(np.array([1]), begun, np.array([0]), None).tolist() == [1]
    assert tested(np.array([1]), begun, np.array([1]), None).tolist() == [0]


def test_stages_go_on_under_another_safeguard_and_seeds_wait_for_each_other() -> None:
    staged = Staged(QSettings(epsilon=0.2), seed=3)
    first = staged.train(watched(3, NEVER, end_on_violation=True), 20)
    second = staged.train(watched(3, end_on_violation=True), 15)
    none = staged.train(watched(3), 0)
    assert [outcome.lengths.shape for outcome in (first, second, none)] == [(3, 20), (3, 15), (3, 0)]
    assert (second.lengths > 0).all()
    assert staged.learner is not None
    assert [stage.n_states for stage in staged.learner.stages] == [1, 2, 2]


def test_a_seed_learns_the_same_again() -> None:
    runs = [Staged(QSettings(), seed=seed).train(watched(2), 20).lengths.tolist() for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_exploration_is_a_share_of_the_actions() -> None:
    table = learner(tables=50, epsilon=0.4)
    table.begin_stage(1)
    rows = table.rows(np.zeros(50, dtype=np.int64), np.zeros(50, dtype=np.int64))
    drawn = np.array([table.explore(rows) for _ in range(600)])
    assert drawn.mean() == pytest.approx(0.2, abs=0.01)  # the first of equals is 0; half of the random ones are 1


def test_observations_are_numbered() -> None:
    size, index = numbering(gym.spaces.Discrete(4, start=2))
    assert (size, index(np.array([2, 5])).tolist()) == (4, [0, 3])
    size, index = numbering(gym.spaces.MultiDiscrete([2, 3]))
    assert (size, index(np.array([[0, 0], [1, 2]])).tolist()) == (6, [0, 5])
    with pytest.raises(GameError, match="expected ones that can be counted"):
        numbering(gym.spaces.Box(0, 1))


@pytest.mark.parametrize("wrong", [{"gamma": 1.1}, {"alpha": -0.1}, {"epsilon": float("nan")}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a number in"):
        QSettings(**wrong)
