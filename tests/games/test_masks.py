"""Masks of actions: never empty, safe where anything is, the least costly where nothing is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetune.errors import GameError
from safetune.games import SafeguardVectorWrapper, SafeguardWrapper
from safetune.games.masks import action_masks


@given(seed=st.integers(0, 2**16), name=st.sampled_from(["plain", "end"]))
def test_masks_are_safe_and_never_empty(
    guards: Any, drawn: Any, bits_labeller: Any, side_by_side: Any, seed: int, name: str
) -> None:
    guard, rng = guards[name], np.random.default_rng(seed)
    envs = side_by_side(5)
    envs.reset(seed=seed)
    states = rng.integers(0, guard.n_states, size=5)
    masks = action_masks(guard, bits_labeller(), envs, envs.single_action_space, states)
    for index, env in enumerate(envs.envs):
        steps = [guard.step(int(states[index]), int(labels)) for labels in env.foreseen]
        cheapest = min(step.cost for step in steps)
        all_break = all(step.broken for step in steps)
        expected = [step.cost == cheapest if all_break else not step.broken for step in steps]
        assert masks.allowed[index].tolist() == expected
        assert masks.allowed[index].any()
        assert bool(masks.cornered[index]) == all_break
        single = action_masks(guard, bits_labeller(), env, env.action_space, int(states[index]))
        np.testing.assert_array_equal(single.allowed, masks.allowed[index])


def test_the_step_after_says_that_the_agent_was_cornered(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    env = SafeguardWrapper(drawn(), guards["plain"], bits_labeller())
    env.reset(seed=0)
    env.unwrapped.left, env.unwrapped.foreseen = 5, np.array([0b011, 0b011, 0b111])
    assert env.action_masks().all()  # a spark costs the same with water and without
    assert env.step(0)[-1]["safeguard"]["cornered"] is True
    assert env.step(0)[-1]["safeguard"]["cornered"] is False  # nobody asked
    env.unwrapped.foreseen = np.array([0, 0b011, 0])
    assert env.action_masks().tolist() == [True, False, True]
    assert env.step(0)[-1]["safeguard"]["cornered"] is False


def test_the_least_costly_actions_stay_allowed(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    """After water twice, water costs 0.5 and a spark on fuel 2."""
    guard = guards["plain"]
    state = int(guard.run([0b100, 0b100]).states[-1])
    env = drawn()
    env.reset(seed=0)
    env.foreseen = np.array([0b011, 0b100, 0b100])
    masks = action_masks(guard, bits_labeller(), env, env.action_space, state)
    assert masks.allowed.tolist() == [False, True, True]
    assert masks.cornered


def test_a_batch_says_which_were_cornered(guards: Any, bits_labeller: Any, side_by_side: Any) -> None:
    envs = SafeguardVectorWrapper(side_by_side(2), guards["plain"], bits_labeller())
    envs.reset(seed=0)
    for env, labels in zip(envs.unwrapped.envs, (0b011, 0b000), strict=True):
        env.left, env.foreseen = 5, np.array([labels] * 3)
    assert envs.action_masks().shape == (2, 3)
    infos = envs.step(np.zeros(2, dtype=np.int64))[-1]
    assert infos["safeguard"]["cornered"].tolist() == [True, False]
    assert not envs.step(np.zeros(2, dtype=np.int64))[-1]["safeguard"]["cornered"].any()


class Foreseeing:
    """A labeller that foresees whatever it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        return 0

    def foresee(self, env: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0, 1], r"foresee: got int64 of shape \(2,\), expected whole numbers of shape \(3,\)"),
        ([0.0, 1.0, 2.0], "foresee: got float64"),
        ([0, 1, 8], "foresee: got labels 0 to 8, expected 0 to 7"),
        ([0, 1, -1], "foresee: got labels -1 to 1"),
    ],
)
def test_foresight_is_checked(guards: Any, drawn: Any, answer: list[Any], message: str) -> None:
    env = SafeguardWrapper(drawn(), guards["plain"], Foreseeing(np.array(answer)))
    env.reset(seed=0)
    with pytest.raises(GameError, match=message):
        env.action_masks()


def test_a_labeller_that_cannot_foresee(guards: Any, drawn: Any) -> None:
    never = {name: lambda observation, action, info: False for name in ("fuel", "spark", "water")}
    env = SafeguardWrapper(drawn(), guards["plain"], never)
    env.reset(seed=0)
    with pytest.raises(GameError, match="FunctionLabeller cannot foresee an action's labels; it needs the method"):
        env.action_masks()
