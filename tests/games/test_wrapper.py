"""The single wrapper: rewards as the core computes them for whole streams, the shaping's laws, and refusals."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from safetune.errors import BindingError, GameError
from safetune.games import OBSERVE, RewardSettings, SafeguardWrapper
from safetune.safeguard import Safeguard, Spec, distance_potential, shaped_rewards

seeds = st.integers(0, 2**16)


def episode(env: SafeguardWrapper, seed: int | None = None) -> dict[str, Any]:
    """One episode of action 0, as arrays."""
    _, info = env.reset(seed=seed)
    rows: list[tuple[Any, ...]] = []
    states, ended, cut = [info["safeguard"]["state"]], False, False
    while not (ended or cut):
        _, reward, ended, cut, info = env.step(0)
        verdict = info["safeguard"]
        states.append(verdict["state"])
        rows.append((reward, info["task_reward"], info["cost"], env.guard.encode(verdict["labels"]), verdict["broken"]))
    rewards, task, cost, labels, broken = zip(*rows, strict=True)
    arrays = {"reward": rewards, "task": task, "cost": cost, "labels": labels, "states": states}
    return {key: np.array(value) for key, value in arrays.items()} | {"broken": broken, "ended": ended}


@pytest.mark.parametrize("name", ["plain", "end"])
@pytest.mark.parametrize("form", ["sparse", "bonus", "potential"])
@given(seed=seeds, gamma=st.floats(0, 1), weight=st.floats(0, 3))
def test_rewards_are_those_of_the_whole_stream(
    guards: Any, drawn: Any, bits_labeller: Any, name: str, form: str, seed: int, gamma: float, weight: float
) -> None:
    guard = guards[name]
    settings = RewardSettings(form=form, gamma=gamma, weight=weight, kappa=0.3)
    env = SafeguardWrapper(drawn(), guard, bits_labeller(), reward=settings, end_on_violation=form == "bonus")
    seen = episode(env, seed)
    trace = guard.run(seen["labels"])
    np.testing.assert_array_equal(seen["states"], trace.states)
    np.testing.assert_array_equal(seen["cost"], trace.cost)
    assert seen["broken"] == tuple(guard.rule_names(bits) for bits in trace.broken)
    phi = distance_potential(guard.distance, 0.3)[trace.states]
    expected = shaped_rewards(
        trace.cost, trace.broken, form=form, weight=weight, gamma=gamma, phi=phi, ended=bool(seen["ended"])
    )
    np.testing.assert_allclose(seen["reward"], seen["task"] + expected, atol=1e-12)


@pytest.mark.parametrize("potential", ["distance", "value"])
@given(seed=seeds)
def test_shaping_telescopes(guards: Any, drawn: Any, bits_labeller: Any, potential: str, seed: int) -> None:
    """With gamma = 1 it sums to -phi(q0) where the episode terminated; where it was cut, phi of the last is kept."""
    guard = guards["end"]
    settings = RewardSettings(potential=potential, gamma=1.0)
    env = SafeguardWrapper(drawn(), guard, bits_labeller(), reward=settings)
    env.reset(seed=seed)
    for _ in range(8):
        seen = episode(env)
        phi = env._potential
        kept = 0.0 if seen["ended"] else phi[seen["states"][-1]]
        total = (seen["reward"] - seen["task"] + seen["cost"]).sum()
        assert total == pytest.approx(kept - phi[guard.initial])


def test_the_value_potential_is_estimated_between_episodes(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    guard = guards["plain"]
    env = SafeguardWrapper(drawn(), guard, bits_labeller(), reward=RewardSettings(potential="value"))
    env.reset(seed=0)
    first, changed, steps = env._potential, 0, 0
    for _ in range(300):
        before = env._potential
        seen = episode(env)
        changed += env._potential is not before
        steps += len(seen["labels"])
    assert 2 < changed < 10
    assert env.label_counts is not None
    assert env.label_counts.sum() == steps
    assert np.abs(env._potential - first).max() > 1e-3
    other = SafeguardWrapper(drawn(), guard, bits_labeller(), reward=RewardSettings(potential="value"))
    other.label_counts = env.label_counts
    other.reset(seed=0)
    assert np.abs(other._potential - env._potential).max() < np.abs(first - env._potential).max()
    with pytest.raises(GameError, match="label_counts: got float64 of shape"):
        other.label_counts = np.zeros((1, 2))


def test_the_step_says_what_happened(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    env = SafeguardWrapper(drawn(), guards["end"], bits_labeller())
    _, info = env.reset(seed=3)
    assert info["safeguard"] == {"state": 0, "broken": (), "labels": (), "cornered": False}
    assert info["cost"] == 0.0
    env.unwrapped.left, env.unwrapped.foreseen = 1, np.array([0b011, 0, 0])
    _, _, _, _, info = env.step(0)
    assert info["safeguard"]["labels"] == ("fuel", "spark", "end")
    assert info["safeguard"]["broken"] == ("no spark after fuel", "water before the end")
    assert info["cost"] == 2.25


def test_a_violation_ends_the_episode_and_nothing_due_at_the_end_is_charged(
    guards: Any, drawn: Any, bits_labeller: Any
) -> None:
    env = SafeguardWrapper(drawn(), guards["end"], bits_labeller(), end_on_violation=True)
    env.reset(seed=3)
    env.unwrapped.left, env.unwrapped.foreseen = 5, np.array([0b011, 0, 0])
    _, reward, terminated, truncated, info = env.step(0)
    assert (terminated, truncated) == (True, False)
    assert info["safeguard"]["labels"] == ("fuel", "spark")
    assert info["cost"] == 2.0
    phi = distance_potential(guards["end"].distance)[0]
    assert reward == pytest.approx(info["task_reward"] - 2.0 - phi)


@pytest.mark.parametrize("observe", OBSERVE)
@pytest.mark.parametrize("name", ["plain", "end"])
def test_gymnasiums_and_sb3s_checks_pass(guards: Any, drawn: Any, bits_labeller: Any, observe: str, name: str) -> None:
    env = SafeguardWrapper(drawn(), guards[name], bits_labeller(), observe=observe)
    check_env(env, skip_render_check=True)
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(env)


def test_gymnasiums_check_passes_on_a_registered_environment(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    gym.register("Drawn-v0", drawn)
    try:
        env = SafeguardWrapper(gym.make("Drawn-v0"), guards["plain"], bits_labeller(), observe="danger")
        check_env(env, skip_render_check=True)
        again = gym.make(env.spec)
        assert isinstance(again, SafeguardWrapper)
        assert again.guard is env.guard
    finally:
        del gym.registry["Drawn-v0"]


class Broken(gym.Wrapper[Any, Any, Any, Any]):
    """Gives a reward that is no number at the second step."""

    def __init__(self, env: gym.Env[Any, Any], reward: float) -> None:
        super().__init__(env)
        self.bad, self.steps = reward, 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        observation, reward, *rest = self.env.step(action)
        return observation, self.bad if self.steps == 2 else reward, *rest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_no_number_names_environment_and_step(
    guards: Any, drawn: Any, bits_labeller: Any, bad: float
) -> None:
    env = SafeguardWrapper(Broken(drawn(), bad), guards["plain"], bits_labeller())
    env.reset(seed=1)
    env.unwrapped.left = 5
    env.step(0)
    with pytest.raises(GameError, match=f"Drawn: step 2: the reward is {bad}, expected a finite number"):
        env.step(0)


@pytest.mark.parametrize("answer", [8, -1, 1.0, True, "fuel", None, {"fuel"}])
def test_labels_must_be_bits(guards: Any, drawn: Any, bits_labeller: Any, answer: Any) -> None:
    class Wrong(bits_labeller):  # type: ignore[misc]
        def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> Any:
            return answer

    env = SafeguardWrapper(drawn(), guards["end"], Wrong())  # 8 is the bit of `end`, which the wrapper sets
    env.reset(seed=0)
    with pytest.raises(GameError, match=r"step 1: the labeller returned .*from 0 to 7, bit by bit 'fuel', 'spark'"):
        env.step(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observe": "dangr"}, r"observe: got 'dangr', expected 'danger', 'none', 'state'\. Did you mean 'danger'\?"),
        ({"reward": RewardSettings(form="bonus")}, "'bonus' ends the episode at a violation; set end_on_violation"),
    ],
)
def test_settings_that_do_not_go_together(
    guards: Any, drawn: Any, bits_labeller: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(GameError, match=message):
        SafeguardWrapper(drawn(), guards["plain"], bits_labeller(), **arguments)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("form", "potentail", r"reward\.form: got 'potentail', expected .* Did you mean 'potential'\?"),
        ("potential", "reach", r"reward\.potential: got 'reach', expected 'distance', 'value'"),
        ("kappa", 1.0, r"reward\.kappa: got 1\.0, expected more than 0 and less than 1"),
        ("kappa", 0, r"reward\.kappa: got 0, expected more"),
        ("weight", -1.0, r"reward\.weight: got -1\.0, expected a finite number of at least 0"),
        ("weight", float("inf"), r"reward\.weight: got inf"),
        ("weight", True, r"reward\.weight: got True"),
        ("bonus", float("nan"), r"reward\.bonus: got nan"),
        ("gamma", 1.5, r"reward\.gamma: got 1\.5, expected a finite number from 0 to 1"),
        ("gamma", "0.9", r"reward\.gamma: got '0\.9'"),
    ],
)
def test_reward_settings_are_checked(key: str, value: Any, message: str) -> None:
    with pytest.raises(GameError, match=message):
        RewardSettings(**{key: value})


def test_a_key_that_is_taken(guards: Any, bits_labeller: Any) -> None:
    class Taken(gym.Env[Any, Any]):
        observation_space = gym.spaces.Dict({"safeguard": gym.spaces.Discrete(2)})
        action_space = gym.spaces.Discrete(2)

    with pytest.raises(GameError, match="have the key 'safeguard' already"):
        SafeguardWrapper(Taken(), guards["plain"], bits_labeller(), observe="state")


def test_a_world_that_the_spec_does_not_bind(drawn: Any) -> None:
    spec = """
    name = "s"
    [propositions]
    p = "p"
    [[rule]]
    name = "r"
    always = "!p"
    [bind.text]
    p = { regex = "p" }
    """
    guard = Safeguard.from_spec(Spec.parse(spec))
    with pytest.raises(BindingError, match=r"<string>: no \[bind\.minigrid\] table, .*; it binds 'text'"):
        SafeguardWrapper(drawn(), guard, "minigrid")
