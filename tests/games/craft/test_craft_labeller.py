"""`[bind.craft]`: what it makes hold, alone and in a batch, and what is wrong with one."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import safetune.games  # noqa: F401, registers the environments
from safetune import Safeguard
from safetune.errors import BindingError, GameError
from safetune.games import SafeguardVectorWrapper, SafeguardWrapper, build_labeller, check_labeller
from safetune.games.craft.env import CraftEnv
from safetune.games.craft.names import ACTIONS
from safetune.safeguard import Spec

VALLEY = "safetune/Craft-Valley-v0"
TOY = "crafting = 1\n[cells]\nT.#\n@TL\n..U\n.~c\n"


def guard_of(**bindings: str) -> Safeguard:
    """A safeguard that forbids each of these propositions."""
    lines = ['name = "toy"', "[propositions]", *(f'{name} = "x"' for name in bindings)]
    lines += [line for name in bindings for line in ("[[rule]]", f'name = "no {name}"', f'always = "!{name}"')]
    lines += ["[bind.craft]", *(f"{name} = {table}" for name, table in bindings.items())]
    return Safeguard.from_spec(Spec.parse("\n".join(lines), "toy.toml"))


def toy(tmp_path: Path) -> CraftEnv:
    (tmp_path / "toy.txt").write_text(TOY)
    env = CraftEnv(tmp_path / "toy.txt")
    env.reset(seed=0)
    return env


def test_each_kind_of_binding_holds_where_it_should(tmp_path: Path) -> None:
    env = toy(tmp_path)
    guard = guard_of(
        hot='{ cell = "lava" }',
        soft='{ cell = ["water", "wood"] }',
        log='{ holds = "wood" }',
        logs='{ holds = "wood", at_least = 2 }',
        close='{ near = "creeper", within = 1 }',
        works='{ does = "use" }',
    )
    labeller = build_labeller(guard, env)
    held = []
    for name in ("right", "use", "left", "up", "use", "down", "right", "right", "down"):
        action = ACTIONS.index(name)
        foreseen = labeller.foresee(env)[action]  # type: ignore[attr-defined]
        observation, _, _, _, info = env.step(action)
        bits = labeller.labels(observation, action, info)
        assert bits == foreseen
        held.append(set(guard.decode(bits)))
    assert held == [
        {"soft"},
        {"log", "works"},
        {"log"},
        {"log", "soft"},
        {"log", "logs", "works"},
        {"log", "logs"},
        {"log", "logs"},
        {"log", "logs", "hot"},
        {"log", "logs", "close"},
    ]


@pytest.mark.parametrize("name", ["craft_valley", "protection_before_hazard", "craft_creeper_after_table"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_the_specs_label_the_valley_as_the_wrappers_ask(name: str, mode: str, repository: Path) -> None:
    guard = Safeguard.load(repository / "specs" / f"{name}.toml")
    envs = gym.make_vec(VALLEY, num_envs=8, autoreset_mode=mode, max_episode_steps=30)
    report = check_labeller(envs, guard, steps=480)
    assert report.episodes >= 8
    assert report.foreseen > 50


def test_single_environments_side_by_side_are_labelled_too(repository: Path) -> None:
    guard = Safeguard.load(repository / "specs" / "craft_valley.toml")
    envs = gym.make_vec(VALLEY, num_envs=3, vectorization_mode="sync")
    assert check_labeller(envs, guard, steps=300).steps == 300


def test_watched_alone_and_in_a_batch_the_verdicts_are_the_same(repository: Path) -> None:
    guard = Safeguard.load(repository / "specs" / "craft_valley.toml")
    envs = SafeguardVectorWrapper(gym.make_vec(VALLEY, num_envs=2), guard)
    env = SafeguardWrapper(gym.make(VALLEY), guard)
    envs.reset(seed=4)
    env.reset(seed=5)
    actions = np.random.default_rng(0).integers(7, size=(150, 2))
    costs = 0.0
    for pair in actions:
        _, rewards, _, _, infos = envs.step(pair)
        _, reward, _, _, info = env.step(pair[1])
        assert reward == pytest.approx(rewards[1])
        assert info["cost"] == infos["cost"][1]
        assert envs.action_masks()[1].tolist() == env.action_masks().tolist()
        costs += info["cost"]
    assert costs > 0


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('{ cell = "lva" }', "toy.toml: bind.craft.hazard.cell: unknown cell 'lva'. Valid cells: 'bench', 'cow', "),
        ('{ cell = "lva" }', "Did you mean 'lava'?"),
        ("{ cell = [] }", "bind.craft.hazard.cell: unknown cell ''"),
        ("{ cell = 3 }", "bind.craft.hazard.cell: expected a list, got 3"),
        ('{ holds = "swrd" }', "bind.craft.hazard.holds: unknown item 'swrd'. Valid items: 'diamond', 'iron', "),
        ('{ holds = "wood", at_least = 0 }', "bind.craft.hazard.at_least: expected at least 1, got 0"),
        ('{ near = "lava" }', "bind.craft.hazard.near: unknown creature 'lava'. Valid creatures: 'cow', 'creeper'"),
        ('{ near = "cow", within = 1.5 }', "bind.craft.hazard.within: expected a whole number, got 1.5"),
        ('{ does = "jump" }', "bind.craft.hazard.does: unknown action 'jump'. Valid actions: 'attack', 'down'"),
        ('{ inside = "lava" }', "bind.craft.hazard: expected one of the keys 'cell', 'does', 'holds', 'near', got"),
        ('{ cell = "lava", holds = "wood" }', "bind.craft.hazard: a binding is of one kind, got 'cell' and 'holds'"),
        ('{ cell = "lava", at = 1 }', "bind.craft.hazard.at: unknown key 'at'"),
    ],
)
def test_what_is_wrong_with_a_binding_is_told(table: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BindingError) as caught:
        build_labeller(guard_of(hazard=table), toy(tmp_path))
    assert says in str(caught.value)


def test_a_creeper_that_stands_still_has_no_distance() -> None:
    with pytest.raises(BindingError, match=r"near: only walking creatures.* 'paper_1' has one that stands still; bind"):
        build_labeller(guard_of(hazard='{ near = "creeper" }'), gym.make("safetune/Craft-Paper1-v0"))


def test_another_world_is_refused() -> None:
    env: Any = gym.make("CartPole-v1")
    with pytest.raises(GameError, match="labeller: expected a Craft environment, got CartPoleEnv"):
        build_labeller(guard_of(hazard='{ cell = "lava" }'), env, "craft")
