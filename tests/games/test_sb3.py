"""The stable-baselines3 adapter does as `DummyVecEnv` does over single environments; agents train on it."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import GameError
from safetune.games import RewardSettings, SafeguardVectorWrapper, SafeguardWrapper

vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
sb3 = pytest.importorskip("safetune.games.sb3")
COUNT = 3


@pytest.fixture(scope="session")
def batch(guards: Any, bits_labeller: Any, side_by_side: Any) -> Any:
    """Makes the adapter over the toy environments."""

    def make(observe: str = "danger", **others: Any) -> Any:
        envs = side_by_side(COUNT)
        return sb3.SB3VecEnv(SafeguardVectorWrapper(envs, guards["end"], bits_labeller(), observe=observe, **others))

    return make


@pytest.mark.parametrize("observe", ["none", "state"])
@pytest.mark.parametrize("stop", [False, True], ids=["", "end_on_violation"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_it_does_as_sb3s_own_does(
    guards: Any, drawn: Any, bits_labeller: Any, batch: Any, observe: str, stop: bool, seed: int
) -> None:
    others: dict[str, Any] = {"reward": RewardSettings(form="bonus" if stop else "potential"), "end_on_violation": stop}

    def single() -> SafeguardWrapper:
        return SafeguardWrapper(drawn(), guards["end"], bits_labeller(), observe=observe, **others)

    ours, theirs = batch(observe, **others), vec_env.DummyVecEnv([single] * COUNT)
    ours.seed(seed)
    theirs.seed(seed)
    same(ours.reset(), theirs.reset())
    counted = np.zeros((COUNT, 3))
    for _ in range(15):
        actions = np.zeros(COUNT, dtype=np.int64)
        (seen, rewards, done, infos), (seen_2, rewards_2, done_2, infos_2) = ours.step(actions), theirs.step(actions)
        same(seen, seen_2)
        np.testing.assert_allclose(rewards, rewards_2, rtol=1e-6)
        assert rewards.dtype == np.float32
        np.testing.assert_array_equal(done, done_2)
        for index, (info, info_2) in enumerate(zip(infos, infos_2, strict=True)):
            counted[index] += (info_2["task_reward"], info_2["cost"], bool(info_2["safeguard"]["broken"]))
            assert ours.step_infos["cost"][index] == info_2["cost"]
            if not done[index]:
                assert info == {}
                continue
            same(info["terminal_observation"], info_2["terminal_observation"])
            assert info["TimeLimit.truncated"] == info_2["TimeLimit.truncated"]
            assert (info["episode"]["r"], info["episode"]["cost"]) == pytest.approx(tuple(counted[index, :2]))
            assert info["episode"]["violations"] == counted[index, 2]
            counted[index] = 0


def same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert set(one) == set(other)
        for key in one:
            same(one[key], other[key])
        return
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype


def test_observations_are_the_callers_to_keep(guards: Any, bits_labeller: Any, side_by_side: Any) -> None:
    """Also where the environments write each observation into the same array."""
    venv = sb3.SB3VecEnv(SafeguardVectorWrapper(side_by_side(COUNT, copy=False), guards["end"], bits_labeller()))
    first = venv.reset()
    kept, last = first.copy(), []
    for _ in range(8):
        *_, infos = venv.step(np.zeros(COUNT, dtype=np.int64))
        last += [(info["terminal_observation"], info["terminal_observation"].copy()) for info in infos if info]
    same(first, kept)
    assert last
    for one, other in last:
        same(one, other)


def test_an_episodes_statistics(batch: Any) -> None:
    venv = batch(reward=RewardSettings(form="sparse"))
    venv.reset()
    ended: list[dict[str, Any]] = []
    while len(ended) < 5:
        ended += [info["episode"] for info in venv.step(np.zeros(COUNT, dtype=np.int64))[3] if info]
    for episode in ended:
        assert set(episode) == {"r", "shaped", "l", "cost", "violations"}
        assert episode["shaped"] == pytest.approx(episode["r"] - episode["cost"])
        assert 1 <= episode["l"] <= 6
        assert isinstance(episode["violations"], int)


def test_masks_are_offered_where_the_labeller_foresees(batch: Any, guards: Any, side_by_side: Any) -> None:
    masks = pytest.importorskip("sb3_contrib.common.maskable.utils")
    venv = batch()
    venv.reset()
    assert masks.is_masking_supported(venv)
    assert masks.get_action_masks(venv).shape == (COUNT, 3)
    assert [mask.shape for mask in venv.env_method("action_masks", indices=[0, 2])] == [(3,), (3,)]
    never = {name: lambda observation, action, info: False for name in ("fuel", "spark", "water")}
    assert not masks.is_masking_supported(sb3.SB3VecEnv(SafeguardVectorWrapper(side_by_side(2), guards["end"], never)))


def test_agents_train_on_it(batch: Any) -> None:
    ppo = pytest.importorskip("stable_baselines3").PPO
    maskable = pytest.importorskip("sb3_contrib").MaskablePPO
    for algorithm, policy, observe in ((ppo, "MlpPolicy", "none"), (maskable, "MultiInputPolicy", "danger")):
        venv = batch(observe)
        model = algorithm(policy, venv, n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu")
        model.learn(96)
        assert model.num_timesteps == 96
        assert len(model.ep_info_buffer) > 5


def test_attributes_and_methods(batch: Any, guards: Any) -> None:
    venv = batch()
    venv.reset()
    assert venv.get_attr("guard", indices=[0]) == [guards["end"]]
    assert venv.has_attr("guard")
    assert not venv.has_attr("not_there")
    assert venv.render_mode is None
    venv.set_attr("note", 3)
    assert venv.get_attr("note") == [3] * COUNT
    with pytest.raises(GameError, match="'note' belongs to all environments together"):
        venv.set_attr("note", 4, indices=[1])
    monitor = pytest.importorskip("stable_baselines3.common.monitor").Monitor
    assert venv.env_is_wrapped(monitor) == [True] * COUNT
    assert venv.env_is_wrapped(SafeguardWrapper) == [False] * COUNT


def test_an_environment_that_resets_by_itself(guards: Any, bits_labeller: Any, side_by_side: Any) -> None:
    envs = SafeguardVectorWrapper(side_by_side(2, AutoresetMode.NEXT_STEP), guards["plain"], bits_labeller())
    with pytest.raises(GameError, match=r"SB3VecEnv: SyncVectorEnv resets .* autoreset_mode = AutoresetMode.DISABLED"):
        sb3.SB3VecEnv(envs)
