"""Craft behind Gymnasium: checkers, single and batch alike, autoreset modes, time limits, errors, pictures."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import safetune.games
from safetune.errors import GameError
from safetune.games.craft import IDS, register
from safetune.games.craft.render import Picture, show, sprites

VALLEY = "safetune/Craft-Valley-v0"


@pytest.mark.filterwarnings("ignore:.*The environment.*is different from the unwrapped.*")
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_and_stable_baselines3_find_nothing_wrong(name: str) -> None:
    env = gym.make(name).unwrapped
    check_env(env, skip_render_check=True)
    pytest.importorskip("stable_baselines3.common.env_checker").check_env(env, skip_render_check=True)


@pytest.mark.parametrize("observation", ["cell", "egocentric", "symbolic"])
def test_observations_lie_in_their_space(observation: str) -> None:
    envs = gym.make_vec(VALLEY, num_envs=4, observation=observation)
    envs.action_space.seed(0)
    assert envs.reset(seed=0)[0] in envs.observation_space
    for _ in range(50):
        assert envs.step(envs.action_space.sample())[0] in envs.observation_space


def test_registering_twice_does_no_harm() -> None:
    register()
    assert set(IDS) <= set(gym.registry)
    assert safetune.games is not None


def test_registering_loads_neither_numba_nor_torch() -> None:
    program = "import safetune.games, sys; assert not {'numba', 'torch', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def episodes(env: gym.Env[Any, Any], seed: int, choose: Iterator[int], steps: int) -> list[tuple[Any, ...]]:
    """Observation, reward, ends and facts of each step; episodes begin anew in the step after."""
    seen, ended = [], False
    env.reset(seed=seed)
    for _, action in zip(range(steps), choose, strict=False):
        if ended:
            seen.append((env.reset()[0], 0.0, False, False, None))
            ended = False
            continue
        observation, reward, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
        facts = {**info["facts"], "inventory": info["facts"]["inventory"].tolist()}
        seen.append((observation, reward, terminated, truncated, facts))
    return seen


@pytest.mark.parametrize("name", [VALLEY, "safetune/Craft-Paper1-v0"])
def test_a_batch_is_as_many_single_environments(name: str) -> None:
    count, steps = 3, 120
    envs = gym.make_vec(name, num_envs=count, max_episode_steps=25)
    actions = np.random.default_rng(0).integers(envs.single_action_space.n, size=(steps, count))
    singles = []
    for row in range(count):
        env = gym.make(name).unwrapped
        env.craft._sizes[3] = 25  # `gym.make` takes max_episode_steps for a wrapper of its own
        singles.append(episodes(env, 7 + row, iter(actions[:, row].tolist()), steps))
    envs.reset(seed=7)
    for step in range(steps):
        observations, rewards, terminated, truncated, infos = envs.step(actions[step])
        for row in range(count):
            seen, reward, *ends, facts = singles[row][step]
            np.testing.assert_array_equal(observations[row], seen)
            assert (rewards[row], bool(terminated[row]), bool(truncated[row])) == (reward, *ends)
            assert infos["_facts"][row] == (facts is not None)
            if facts is not None:
                assert {key: value[row].tolist() for key, value in infos["facts"].items()} == facts


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    def walk(seed: int) -> list[Any]:
        envs = gym.make_vec(VALLEY, num_envs=8)
        start = envs.reset(seed=seed)[0]
        return [start, *(envs.step(np.full(8, 4))[0] for _ in range(20))]

    np.testing.assert_array_equal(walk(1), walk(1))
    assert (np.array(walk(1)) != np.array(walk(2))).any()


def test_without_a_seed_the_streams_go_on() -> None:
    envs = gym.make_vec("safetune/Craft-Valley-v0", num_envs=64)
    first, second = envs.reset(seed=3)[0], envs.reset()[0]
    assert (first != second).any()


def test_autoreset_in_the_same_step_keeps_the_last_words() -> None:
    options: dict[str, Any] = {"num_envs": 4, "max_episode_steps": 5}
    same = gym.make_vec(VALLEY, autoreset_mode="SameStep", **options)
    later = gym.make_vec(VALLEY, autoreset_mode="NextStep", **options)
    same.reset(seed=0)
    later.reset(seed=0)
    for _ in range(5):
        seen, _, _, truncated, infos = same.step(np.full(4, 3))
        last, _, _, _, told = later.step(np.full(4, 3))
    assert truncated.all()
    np.testing.assert_array_equal(np.stack(infos["final_obs"]), last)
    np.testing.assert_array_equal(infos["final_info"]["facts"]["cell"], told["facts"]["cell"])
    np.testing.assert_array_equal(seen, later.step(np.full(4, 3))[0])
    assert infos["facts"]["action"].tolist() == [-1] * 4


def test_without_autoreset_ended_episodes_must_be_begun_anew() -> None:
    envs = gym.make_vec(VALLEY, num_envs=2, max_episode_steps=1, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(np.array([4, 4]))
    with pytest.raises(GameError, match=r"step: the episodes of environments \[0, 1\] have ended"):
        envs.step(np.array([4, 4]))
    envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(GameError, match=r"environments \[1\] have ended"):
        envs.step(np.array([4, 4]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda envs: envs.step([4, 4]), "step: call reset() first"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([True, False])}), "the first reset is of all"),
        (lambda envs: envs.reset(seed=[1]), "reset: seed: expected one whole number or 2, got 1"),
        (
            lambda envs: envs.reset() and envs.step([0.5, 1]),
            "expected whole numbers of shape (2,) as actions, got float",
        ),
        (lambda envs: envs.reset() and envs.step([0]), "expected whole numbers of shape (2,) as actions, got int64 of"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([1, 0])}), "reset_mask: expected bools of shape (2,)"),
        (lambda envs: envs.render(), "render: make the environments with render_mode, one of 'human', 'rgb_array'"),
    ],
)
def test_wrong_calls_are_told(call: Any, says: str) -> None:
    with pytest.raises(GameError) as caught:
        call(gym.make_vec(VALLEY, num_envs=2).unwrapped)
    assert says in str(caught.value)


def test_wrong_modes_are_told() -> None:
    with pytest.raises(GameError, match="autoreset_mode: got 'Next', expected one of 'Disabled', 'NextStep', 'SameSt"):
        gym.make_vec(VALLEY, num_envs=2, autoreset_mode="Next")


@pytest.mark.parametrize("name", IDS)
def test_a_picture_shows_every_cell(name: str) -> None:
    env = gym.make(name, render_mode="rgb_array")
    env.reset(seed=0)
    frame: Any = env.render()
    rows, columns = env.unwrapped.craft.layout.shape  # type: ignore[attr-defined]
    assert frame.dtype == np.uint8
    assert frame.shape[1] == columns * 36
    assert frame.shape[0] in (rows * 36, rows * 36 + 48)
    env.step(0)
    assert (frame != env.render()).any()


def test_a_picture_tells_what_is_carried() -> None:
    env = gym.make(VALLEY, render_mode="rgb_array").unwrapped
    env.reset(seed=0)
    picture = Picture.of(env.craft, 0)  # type: ignore[attr-defined]
    rich = Picture(picture.ground, picture.agent, picture.creatures, dict.fromkeys(picture.carried, 2), True)
    differs = (picture.draw(12) != rich.draw(12)).any(axis=(1, 2))
    rows = picture.ground.shape[0] * 12
    assert not differs[:rows].any()
    assert differs[rows:].any()
    with pytest.raises(GameError, match="render: tile: expected a multiple of 12, got 16"):
        picture.draw(16)


def test_every_thing_has_a_sprite_of_its_own() -> None:
    drawn = {name: sprite.tobytes() for name, sprite in sprites().items()}
    assert len(set(drawn.values())) == len(drawn)
    assert all(sprite.shape == (12, 12, 3) and (sprite >= 0).any() for sprite in sprites().values())


def test_a_window_is_drawn_where_matplotlib_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    frame = np.zeros((24, 24, 3), dtype=np.uint8)
    show(frame, 1000)
    show(frame + 9, 1000)
    assert len(pyplot.get_fignums()) == 1
    np.testing.assert_array_equal(pyplot.gcf().axes[0].images[0].get_array(), frame + 9)
    pyplot.close("all")


def test_no_steps_at_all_is_refused() -> None:
    with pytest.raises(GameError, match="max_episode_steps"):
        gym.make_vec(VALLEY, num_envs=1, max_episode_steps=0)
