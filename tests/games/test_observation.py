"""What an agent is shown: one-hot states; danger bits and nearness that mean the same for every spec."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from safetune.errors import GameError
from safetune.games.observation import features, joined, with_features


@pytest.mark.parametrize("name", ["plain", "end"])
def test_a_state_is_one_hot(guards: Any, name: str) -> None:
    shown = features(guards[name], "state", 0.5)
    assert shown is not None
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown, np.eye(guards[name].n_states))


@pytest.mark.parametrize("name", ["plain", "end"])
@pytest.mark.parametrize("kappa", [0.5, 0.25])
def test_danger_is_what_would_break_a_rule_now_and_how_near_a_violation_is(
    guards: Any, name: str, kappa: float
) -> None:
    guard = guards[name]
    shown = features(guard, "danger", kappa)
    assert shown is not None
    assert shown.shape == (guard.n_states, 4)  # `end` is not among them
    for state in range(guard.n_states):
        for index, proposition in enumerate(("fuel", "spark", "water")):
            assert shown[state, index] == bool(guard.step(state, {proposition}).broken)
        distance = guard.distance[state]
        assert shown[state, 3] == pytest.approx(0.0 if np.isinf(distance) else kappa**distance)


def test_nearness_is_0_where_no_violation_can_come(guards: Any) -> None:
    class Safe:
        propositions = ("p",)
        n_states = 1
        distance = np.array([np.inf])

        def danger(self, state: int) -> Any:
            return np.array([False])

    shown = features(Safe(), "danger", 0.5)  # type: ignore[arg-type]
    assert shown is not None
    assert shown.tolist() == [[0.0, 0.0]]


def test_nothing_is_shown_for_none(guards: Any) -> None:
    assert features(guards["plain"], "none", 0.5) is None
    with pytest.raises(GameError, match="observe: got 'all'"):
        features(guards["plain"], "all", 0.5)


def test_spaces_and_observations_have_the_same_keys() -> None:
    box = gym.spaces.Box(0, 1, (2,))
    shown = np.zeros(3, dtype=np.float32)
    assert with_features(box, 3).contains(joined(np.zeros(2, dtype=np.float32), shown))
    inner = gym.spaces.Dict({"image": box})
    assert with_features(inner, 3).contains(joined({"image": np.zeros(2, dtype=np.float32)}, shown))
    assert set(inner.spaces) == {"image"}
