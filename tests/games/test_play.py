"""Playing and measuring: counts by hand, shares of environments, intervals."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from safetune.games import RewardSettings, SafeguardVectorWrapper
from safetune.games.evaluate import play, play_rows
from safetune.games.measures import Episode, measures
from safetune.safeguard import Safeguard, Spec
from tests.games.agents.toy import LIMIT, SPEC, Corridor, Where

GUARD = Safeguard.from_spec(Spec.parse(SPEC))


def watched(count: int, **reward: Any) -> SafeguardVectorWrapper:
    envs = gym.vector.SyncVectorEnv([Corridor] * count, autoreset_mode=AutoresetMode.DISABLED)
    return SafeguardVectorWrapper(envs, GUARD, Where(GUARD), reward=RewardSettings(**reward))


class Always:
    """One action in even environments, the other in odd ones."""

    def __init__(self) -> None:
        self.begun: list[list[bool]] = []

    def __call__(self, observations: Any, begun: Any, states: Any, masks: Any) -> Any:
        self.begun.append(begun.tolist())
        return np.arange(len(begun)) % 2


def test_each_environment_plays_its_share_however_long_its_episodes_are() -> None:
    actor = Always()
    played = play_rows(watched(2), actor, 5, seed=0)
    left = [episode for row, episode in played if row == 0]
    right = [episode for row, episode in played if row == 1]
    assert [episode.length for episode in left] == [LIMIT] * 3
    assert [episode.length for episode in right] == [3] * 2
    assert {(episode.violations, episode.success) for episode in left} == {(0, False)}
    assert {(episode.violations, episode.rules, episode.cost, episode.success) for episode in right} == {
        (1, (1,), 1.0, True)
    }
    assert right[0].task_return == pytest.approx(0.98)
    assert actor.begun[0] == [True, True]
    assert actor.begun[1] == [False, False]
    assert actor.begun[3] == [False, True]


def test_what_was_learnt_of_the_labels_is_left_alone() -> None:
    envs = watched(2, potential="value")
    before = envs.label_counts
    play(envs, Always(), 2, seed=0)
    assert before is not None
    assert (envs.label_counts == before).all()


def test_measures_by_hand() -> None:
    episodes = [
        Episode(1.0, 10, 2.0, 2, (2, 0), True),
        Episode(3.0, 20, 0.0, 0, (0, 0), True),
        Episode(2.0, 30, 1.5, 1, (1, 1), False),
    ]
    result = measures(episodes, ["one", "two"])
    assert result["episodes"] == 3
    assert result["return"]["mean"] == 2.0
    assert 1.0 <= result["return"]["low"] <= 2.0 <= result["return"]["high"] <= 3.0
    assert result["success"]["value"] == pytest.approx(2 / 3)
    assert result["violations_per_episode"]["mean"] == 1.0
    assert result["clean_episodes"]["value"] == pytest.approx(1 / 3)
    assert result["cost_per_episode"]["mean"] == pytest.approx(3.5 / 3)
    assert result["rules"]["one"]["per_episode"] == 1.0
    assert result["rules"]["two"]["episodes"]["value"] == pytest.approx(1 / 3)
    assert result["length_mean"] == 20.0


def test_success_is_left_out_where_no_goal_is_known() -> None:
    assert "success" not in measures([Episode(1.0, 10, 0.0, 0, (), None)], [])
