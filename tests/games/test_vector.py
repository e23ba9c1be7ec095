"""The batched wrapper agrees with the single one in every autoreset mode, and keeps the laws by itself."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import GameError
from safetune.games import RewardSettings, SafeguardVectorWrapper, SafeguardWrapper

MODES = list(AutoresetMode)
COUNT, STEPS = 3, 12


def row(infos: dict[str, Any], index: int) -> dict[str, Any]:
    verdict = infos["safeguard"]
    return {
        "cost": infos["cost"][index],
        "task": infos["task_reward"][index],
        "broken": int(verdict["broken"][index]),
        "labels": int(verdict["labels"][index]),
        "cornered": bool(verdict["cornered"][index]),
    }


def alone(env: SafeguardWrapper, seed: int) -> list[dict[str, Any]]:
    """What one environment does by itself: a record a step, with the observation that begins the next episode."""
    env.reset(seed=seed)
    records = []
    for _ in range(STEPS):
        observation, reward, ended, cut, info = env.step(0)
        verdict = info["safeguard"]
        record = {"observation": observation, "reward": reward, "ended": (ended, cut), "state": verdict["state"]}
        record |= {"cost": info["cost"], "task": info["task_reward"], "cornered": verdict["cornered"]}
        record["broken"] = sum(1 << i for i, rule in enumerate(env.guard.rules) if rule.name in verdict["broken"])
        record["labels"] = env.guard.encode(verdict["labels"])
        if ended or cut:
            record["next"], _ = env.reset()
        records.append(record)
    return records


def same_observation(one: Any, other: Any) -> None:
    assert set(one) == set(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def check(record: dict[str, Any], step: tuple[Any, ...], index: int) -> None:
    _, rewards, ended, cut, infos = step
    assert rewards[index] == pytest.approx(record["reward"], abs=1e-12)
    assert (ended[index], cut[index]) == record["ended"]
    said = row(infos, index)
    assert said == {key: record[key] for key in said}
    assert all(infos[key][index] for key in ("_cost", "_task_reward", "_safeguard"))


def picked(observations: Any, index: int) -> Any:
    return {key: value[index] for key, value in observations.items()}


@pytest.mark.parametrize("name", ["plain", "end"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("batch", [True, False], ids=["arrays", "rows"])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**16), form=st.sampled_from(["sparse", "potential"]))
def test_the_wrappers_agree(
    guards: Any,
    drawn: Any,
    bits_labeller: Any,
    side_by_side: Any,
    name: str,
    mode: Any,
    batch: bool,
    seed: int,
    form: str,
) -> None:
    guard, reward = guards[name], RewardSettings(form=form, gamma=0.9, weight=0.7)
    labeller = bits_labeller() if batch else OneByOne()
    single = [
        alone(SafeguardWrapper(drawn(), guard, bits_labeller(), reward=reward, observe="danger"), seed + index)
        for index in range(COUNT)
    ]
    envs = SafeguardVectorWrapper(side_by_side(COUNT, mode), guard, labeller, reward=reward, observe="danger")
    observations, infos = envs.reset(seed=seed)
    assert envs.observation_space.contains(observations)
    assert infos["safeguard"]["state"].tolist() == [guard.initial] * COUNT
    at = np.zeros(COUNT, dtype=int)
    done = np.zeros(COUNT, dtype=bool)
    for _ in range(STEPS):
        fresh = done if mode is AutoresetMode.NEXT_STEP else np.zeros(COUNT, dtype=bool)
        step = envs.step(np.zeros(COUNT, dtype=np.int64))
        observations, rewards, ended, cut, infos = step
        done = ended | cut
        for index in range(COUNT):
            shown, state = picked(observations, index), infos["safeguard"]["state"][index]
            if fresh[index]:
                same_observation(shown, single[index][at[index] - 1]["next"])
                assert (rewards[index], infos["cost"][index], infos["safeguard"]["labels"][index]) == (0, 0, 0)
                assert (state, ended[index], cut[index]) == (guard.initial, False, False)
                assert not any(infos[key][index] for key in ("_cost", "_task_reward", "_safeguard"))
                assert not any(infos["safeguard"][key][index] for key in ("_state", "_broken", "_labels"))
                continue
            record = single[index][at[index]]
            at[index] += 1
            check(record, step, index)
            if mode is AutoresetMode.SAME_STEP and done[index]:
                same_observation(shown, record["next"])
                same_observation(infos["final_obs"][index], record["observation"])
                final = infos["final_info"]
                assert (state, final["safeguard"]["state"][index]) == (guard.initial, record["state"])
                assert row(final, index) == row(infos, index)
                assert final["_cost"][index]
                assert final["_safeguard"][index]
            else:
                same_observation(shown, record["observation"])
                assert state == record["state"]
        if mode is AutoresetMode.DISABLED and done.any():
            observations, infos = envs.reset(options={"reset_mask": done})
            for index in range(COUNT):
                if done[index]:
                    same_observation(picked(observations, index), single[index][at[index] - 1]["next"])
            np.testing.assert_array_equal(infos["_cost"], done)


class OneByOne:
    """Labels of one environment at a time."""

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        assert observation.shape == (2,)
        assert action == 0
        return int(info["facts"]["bits"])


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_value_potential_stays_the_same_within_an_episode(
    guards: Any, bits_labeller: Any, side_by_side: Any, mode: Any
) -> None:
    guard = guards["end"]
    reward = RewardSettings(potential="value", gamma=0.95)
    envs = SafeguardVectorWrapper(side_by_side(4, mode), guard, bits_labeller(), reward=reward)
    envs.reset(seed=5)
    assert envs._held is not None
    tables = envs._held._stack[envs._held._held].copy()  # (N, S): each environment's own
    before, done, seen, made = envs.state, np.zeros(4, dtype=bool), set(), 0
    for _ in range(600):
        fresh = done if mode is AutoresetMode.NEXT_STEP else np.zeros(4, dtype=bool)
        _, rewards, ended, cut, infos = envs.step(np.zeros(4, dtype=np.int64))
        done = ended | cut
        made += int((~fresh).sum())
        same_step = mode is AutoresetMode.SAME_STEP and done.any()
        after = np.where(done, infos["final_info"]["safeguard"]["state"], envs.state) if same_step else envs.state
        each = np.arange(4)
        shaping = np.where(ended, 0.0, 0.95 * tables[each, after]) - tables[each, before]
        expected = infos["task_reward"] - infos["cost"] + np.where(fresh, 0.0, shaping)
        np.testing.assert_allclose(rewards, expected, atol=1e-12)
        if mode is AutoresetMode.DISABLED and done.any():
            envs.reset(options={"reset_mask": done})
        begun = fresh if mode is AutoresetMode.NEXT_STEP else done
        now = envs._held._stack[envs._held._held]
        np.testing.assert_array_equal(now[~begun], tables[~begun])
        tables, before = now.copy(), envs.state
        seen.add(tables.tobytes())
    assert len(seen) > 5
    assert len(envs._held) <= 4
    assert envs.label_counts is not None
    assert envs.label_counts.sum() == made


def test_a_violation_ends_an_episode_where_the_caller_resets(
    guards: Any, bits_labeller: Any, side_by_side: Any
) -> None:
    guard = guards["end"]
    envs = SafeguardVectorWrapper(side_by_side(2), guard, bits_labeller(), end_on_violation=True)
    envs.reset(seed=0)
    for env, labels in zip(envs.unwrapped.envs, (0b011, 0b100), strict=True):
        env.left, env.foreseen = 5, np.array([labels, 0, 0])
    _, _, ended, cut, infos = envs.step(np.zeros(2, dtype=np.int64))
    assert (ended.tolist(), cut.tolist()) == ([True, False], [False, False])
    assert [guard.decode(int(bits)) for bits in infos["safeguard"]["labels"]] == [("fuel", "spark"), ("water",)]
    with pytest.raises(GameError, match=r"episodes of environments \[0\] have ended; .*reset_mask"):
        envs.step(np.zeros(2, dtype=np.int64))
    envs.reset(options={"reset_mask": ended})
    assert envs.state[0] == guard.initial
    assert envs.state[1] != guard.initial
    envs.step(np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.name)
def test_a_violation_cannot_end_an_episode_that_resets_by_itself(
    guards: Any, bits_labeller: Any, side_by_side: Any, mode: Any
) -> None:
    with pytest.raises(GameError, match=rf"by itself \({mode.name}\) .*AutoresetMode.DISABLED"):
        SafeguardVectorWrapper(side_by_side(2, mode), guards["plain"], bits_labeller(), end_on_violation=True)


def test_an_autoreset_mode_must_be_declared(guards: Any, bits_labeller: Any, side_by_side: Any) -> None:
    envs = side_by_side(2)
    envs.metadata = {}
    with pytest.raises(GameError, match=r"metadata\['autoreset_mode'\] is None"):
        SafeguardVectorWrapper(envs, guards["plain"], bits_labeller())


class Answering:
    """A labeller with a fixed answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        return 0

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0, 8], r"step 1: the labeller returned 8 for environment 1, expected a whole number from 0 to 7, bit by bit"),
        ([-1, 3], "returned -1 for environment 0"),
        ([0.0, 1.0], r"returned float64 of shape \(2,\), expected whole numbers of shape \(2,\)"),
        ([True, False], r"returned bool of shape \(2,\)"),
        ([0], r"returned int64 of shape \(1,\)"),
    ],
)
def test_labels_must_be_bits(guards: Any, side_by_side: Any, answer: list[Any], message: str) -> None:
    envs = SafeguardVectorWrapper(side_by_side(2), guards["end"], Answering(np.array(answer)))
    envs.reset(seed=0)
    with pytest.raises(GameError, match=message):
        envs.step(np.zeros(2, dtype=np.int64))


class Spoilt(gym.vector.VectorWrapper[Any, Any, Any, Any, Any]):
    """Spoils what an environment returns."""

    reward, without = 0.0, ""

    def step(self, actions: Any) -> Any:
        observations, rewards, ended, cut, infos = self.env.step(actions)
        rewards[1] = self.reward
        infos.pop(self.without, None)
        return observations, rewards, ended, cut, infos


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reward_that_is_no_number_names_its_environment(
    guards: Any, bits_labeller: Any, side_by_side: Any, bad: float
) -> None:
    inner = Spoilt(side_by_side(3))
    inner.reward = bad
    envs = SafeguardVectorWrapper(inner, guards["plain"], bits_labeller())
    envs.reset(seed=0)
    with pytest.raises(GameError, match=f"step 1: the reward of environment 1 is {bad}, expected a finite number"):
        envs.step(np.zeros(3, dtype=np.int64))


@pytest.mark.parametrize("key", ["final_info", "final_obs"])
def test_the_last_step_must_be_told(guards: Any, bits_labeller: Any, side_by_side: Any, key: str) -> None:
    inner = Spoilt(side_by_side(3, AutoresetMode.SAME_STEP))
    inner.without = key
    envs = SafeguardVectorWrapper(inner, guards["plain"], bits_labeller())
    envs.reset(seed=0)
    for env in inner.unwrapped.envs:
        env.left = 1
    with pytest.raises(GameError, match=r"an episode ended and infos lack 'final_info' or 'final_obs'"):
        envs.step(np.zeros(3, dtype=np.int64))
