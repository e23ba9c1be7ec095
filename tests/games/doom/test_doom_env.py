"""The environment with the engine: Gymnasium's contract, the traps of the shipped wrapper, crashes and tidiness."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from safetune.errors import GameError
from safetune.games.doom import SCENARIOS, DoomEnv, Scenario, register
from safetune.games.doom.observation import shrink
from safetune.games.doom.register import IDS

pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install -e '.[doom]'")
register()


def brief(name: str = "protection", decisions: int = 12, **options: Any) -> DoomEnv:
    """An environment whose episodes are short."""
    scenario = Scenario.load(name)
    short = scenario.model_copy(update={"timeout": 4 * decisions})
    short._source = scenario.source
    return DoomEnv(short, **options)


def play(env: gym.Env[Any, Any], seed: int, decisions: int = 30, *, reset: bool = True) -> list[Any]:
    """What an episode of drawn actions shows, as plain values."""
    rng = np.random.default_rng(seed)
    shown: list[Any] = []
    if reset:
        observation, info = env.reset(seed=seed)
        shown.append((observation.tolist(), info["facts"]["variables"]))
    for _ in range(decisions):
        observation, reward, terminated, truncated, info = env.step(int(rng.integers(env.action_space.n)))  # type: ignore[attr-defined]
        shown.append((observation.tolist(), reward, terminated, truncated, info["facts"]["variables"]))
        if terminated or truncated:
            break
    return shown


@pytest.mark.parametrize("observation", ["vector", "pixels"])
@pytest.mark.parametrize("name", sorted(IDS))
@pytest.mark.filterwarnings("ignore:.*render modes:UserWarning", "ignore:.*render_mode:UserWarning")
def test_gymnasiums_checker_is_content(name: str, observation: str) -> None:
    env = gym.make(name, observation=observation)
    try:
        check_env(env.unwrapped, skip_render_check=True)
    finally:
        env.close()


@pytest.mark.parametrize("observation", ["vector", "pixels"])
@pytest.mark.parametrize("name", sorted(IDS))
def test_the_checker_of_stable_baselines_is_content(name: str, observation: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gym.make(name, observation=observation)
    try:
        checker.check_env(env.unwrapped, warn=True)
    finally:
        env.close()


@pytest.mark.parametrize("name", ["protection", "defend_the_center", "health_gathering"])
def test_the_same_seed_brings_the_same_episode(name: str) -> None:
    first, second = DoomEnv(name, observation="vector"), DoomEnv(name, observation="pixels", frames=1)
    third = DoomEnv(name, observation="vector")
    try:
        shown = play(first, 5)
        play(third, 6)  # what was played before leaves no mark
        assert play(third, 5) == shown
        assert play(first, 5) == shown
        assert play(first, 7) != shown
        assert [step[-1] for step in play(second, 5)] == [
            step[-1] for step in shown
        ]  # nor does the kind of observation
    finally:
        for env in (first, second, third):
            env.close()


def test_the_end_of_time_truncates_and_shows_its_last_step() -> None:
    env = brief(decisions=3, frame_skip=4, observation="vector")
    try:
        env.reset(seed=0)
        for step in range(3):
            observation, _, terminated, truncated, info = env.step(0)
            assert (terminated, truncated) == (False, step == 2)
        assert observation[0] == 0.0  # no time is left
        assert np.abs(observation).sum() > 1
        assert info["facts"]["variables"]["HEALTH"] == 100
        with pytest.raises(GameError, match="call reset first"):
            env.step(0)
    finally:
        env.close()


def test_a_last_decision_is_cut_to_the_time_that_is_left() -> None:
    env = brief(decisions=2, frame_skip=5, observation="vector")  # eight tics
    try:
        env.reset(seed=0)
        assert env.step(0)[3] is False
        before = env.game._engine.get_episode_time()
        assert env.step(0)[3] is True
        assert env.game._engine.get_episode_time() - before == 3
    finally:
        env.close()


@pytest.fixture(scope="module")
def roomy() -> Iterator[DoomEnv]:
    env = DoomEnv("protection", observation="vector", render_mode="rgb_array")
    yield env
    env.close()


def test_pictures_are_frames(roomy: DoomEnv) -> None:
    roomy.reset(seed=1)
    picture = roomy.render()
    assert picture is not None
    assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
    assert picture.std() > 10


def test_layouts_are_drawn_by_the_seed_or_asked_for(roomy: DoomEnv) -> None:
    drawn = set()
    for seed in range(12):
        roomy.reset(seed=seed)
        drawn.add(roomy.layout)
    assert drawn == set(roomy.layouts) == {"middle", "shore", "river", "twins"}
    for name in roomy.layouts:
        roomy.reset(seed=0, options={"layout": name})
        assert roomy.layout == name
    with pytest.raises(GameError, match=r"unknown layout 'rivers'.*Did you mean 'river'"):
        roomy.reset(options={"layout": "rivers"})


def test_starts_vary(roomy: DoomEnv) -> None:
    starts = set()
    for seed in range(8):
        _, info = roomy.reset(seed=seed, options={"layout": "middle"})
        facts = info["facts"]
        assert not any(facts["inside"].values())
        starts.add((*facts["position"].tolist(), facts["variables"]["ANGLE"]))
    assert len(starts) >= 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "pixel"}, "observation: unknown 'pixel'.*Did you mean 'pixels'"),
        ({"render_mode": "ansi"}, "render_mode: unknown 'ansi'"),
        ({"layouts": ["lake"]}, "unknown layout 'lake'"),
        ({"frame_skip": 0}, "frame_skip: expected at least 1, got 0"),
        ({"size": (10, 10)}, r"size \(10, 10\)"),
        ({"variables": ["HEALHT"]}, "unknown game variable 'HEALHT'.*Did you mean 'HEALTH'"),
        ({"scenario": "doom"}, "scenario: unknown 'doom'"),
    ],
)
def test_wrong_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GameError, match=message):
        DoomEnv(**options)


@pytest.mark.parametrize("action", [6, -1, 1.5, "ATTACK"])
def test_a_wrong_action_is_explained(roomy: DoomEnv, action: Any) -> None:
    roomy.reset(seed=0)
    with pytest.raises(GameError, match="expected a whole number from 0 to 5"):
        roomy.step(action)


def children(name: str = "") -> set[int]:
    """Processes that this one has started, of this name if one is given."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            called, _, numbers = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            if int(numbers.split()[1]) == os.getpid() and name in called:
                found.add(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the engine's process in /proc")
def test_a_crash_is_told_and_the_next_episode_starts_anew() -> None:
    before = children()
    env = brief(decisions=50, observation="vector")
    try:
        env.reset(seed=0)
        (engine,) = children("vizdoom") - before
        os.kill(engine, signal.SIGKILL)
        with pytest.raises(GameError, match=r"engine stopped while it made a step.*next reset starts a new one"):
            play(env, 0, reset=False)
        with pytest.raises(GameError, match="call reset first"):
            env.step(1)
        env.reset(seed=0)
        assert env.step(1)[2:4] == (False, False)
    finally:
        env.close()
    assert children() <= before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the engine's process in /proc")
@pytest.mark.parametrize("forgotten", [False, True])
def test_closing_leaves_no_process_and_no_file(
    forgotten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    before = children()
    env = brief(observation="vector")
    env.reset(seed=0)
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    if not forgotten:
        env.close()
        env.close()
        env.reset(seed=0)  # a closed environment can be used again
        env.close()
    del env
    gc.collect()
    assert list((tmp_path / "here").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert children() <= before


PROGRAM = """
from safetune.games.doom import DoomEnv
env = DoomEnv("protection", observation="vector")
env.reset(seed=0)
print("ready", flush=True)
input()
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the engine's process in /proc")
def test_a_killed_process_leaves_no_engine_and_no_file(tmp_path: Path) -> None:
    surroundings = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings) as player:
        assert player.stdout is not None
        assert player.stdout.readline() == b"ready\n"
        (folder,) = tmp_path.iterdir()
        assert running_with(folder)
        player.kill()
    deadline = time.monotonic() + 20
    while (running_with(folder) or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running_with(folder)
    assert not folder.exists()


def running_with(folder: Path) -> list[int]:
    """Processes that have this folder in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_missing_wad_is_explained(tmp_path: Path) -> None:
    scenario = Scenario.load("protection").model_copy(update={"wad": "stock:basik.wad"})
    with pytest.raises(GameError, match=r"no 'basik.wad'.*Did you mean 'basic.wad'"):
        DoomEnv(scenario).reset()
    absent = scenario.model_copy(update={"wad": "absent.wad"})
    absent._source = str(tmp_path / "s.toml")
    with pytest.raises(GameError, match=r"no file .*absent.wad"):
        DoomEnv(absent).reset()


def test_a_wad_that_the_engine_refuses_is_explained(tmp_path: Path) -> None:
    packaged = Scenario.load("health_gathering")
    data = (SCENARIOS / "large_poison.wad").read_bytes()
    (tmp_path / "bad.wad").write_bytes(data.replace(b"Scale", b"Scole"))
    (tmp_path / "good.wad").write_bytes(data)
    for name in ("bad", "good"):
        scenario = packaged.model_copy(update={"patch": f"{name}.wad"})
        scenario._source = str(tmp_path / "s.toml")
        env = DoomEnv(scenario, observation="vector")
        if name == "bad":
            with pytest.raises(GameError, match=r"cannot start with .*bad.wad, MAP01: .*an error in its DECORATE"):
                env.reset(seed=0)
        else:
            env.reset(seed=0)
        env.close()


def test_many_at_once_make_arrays_of_facts() -> None:
    envs = gym.make_vec("safetune/Doom-Protection-v0", num_envs=2, vectorization_mode="sync", observation="vector")
    try:
        envs.reset(seed=0)
        _, _, _, _, infos = envs.step(np.array([0, 5]))
        facts = infos["facts"]
        assert facts["action"].tolist() == [0, 5]
        assert facts["variables"]["HEALTH"].tolist() == [100.0, 100.0]
        assert facts["inside"]["lava"].dtype == np.bool_
        assert facts["position"].shape == (2, 2)
    finally:
        envs.close()


@pytest.mark.parametrize("size", [(120, 160), (60, 80), (40, 40), (37, 61)])
def test_shrinking_takes_means(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    small = shrink(frame, size)
    assert (small.shape, small.dtype) == ((*size, 3), np.uint8)
    rows = [
        np.arange(120)[(np.arange(120) >= r * 120 // size[0]) & (np.arange(120) < (r + 1) * 120 // size[0])]
        for r in (0, 3)
    ]
    columns = np.arange(160)[: 160 // size[1]] if 160 % size[1] == 0 else np.arange(1 * 160 // size[1])
    for row, source in zip((0, 3), rows, strict=True):
        block = frame[source][:, columns].reshape(-1, 3)
        assert np.abs(small[row, 0].astype(float) - block.mean(axis=0)).max() < 1


def test_observations_stay_as_they_were() -> None:
    env = brief("health_gathering", observation="pixels", frames=1, size=(120, 160))
    try:
        kept = [env.reset(seed=0)[0], *(env.step(0)[0] for _ in range(6))]
        copies = [observation.copy() for observation in kept]
        for _ in range(4):
            env.step(3)
        assert all((a == b).all() for a, b in zip(kept, copies, strict=True))
        assert not (kept[0] == kept[-1]).all()
    finally:
        env.close()


def test_gauges_show_the_variables() -> None:
    env = brief(observation="pixels", frames=1)
    try:
        full, _ = env.reset(seed=0)
        assert full.shape == (60, 80, 3)
        health, armour, gun = full[-2, 1:26], full[-2, 28:52], full[-2, 54:78]
        assert (health[:, 0] > 200).mean() > 0.9
        assert not armour.any()
        assert not gun.any()
    finally:
        env.close()
