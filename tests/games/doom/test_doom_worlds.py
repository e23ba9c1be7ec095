"""What the scenarios are made to be: lava harms but in the suit, only the gun harms the boss, and facts say so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safetune.games.doom import DoomEnv, DoomLabeller, labeller
from safetune.safeguard import Safeguard

pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install -e '.[doom]'")
SPECS = Path(__file__).parents[3] / "specs"
FORWARD, LEFT, RIGHT, FIRE = 0, 1, 2, 5
IN_LAVA, BEFORE_BOSS, OUTSIDE = (450, 500), (1180, 500), (100, 480)


@pytest.fixture(scope="module")
def protection() -> Iterator[DoomEnv]:
    env = DoomEnv("protection", observation="vector")
    yield env
    env.close()


def begin(env: DoomEnv, at: tuple[int, int] | None = None, give: tuple[str, ...] = ()) -> None:
    """An episode on the first layout; the engine's console moves the player and gives him things."""
    env.reset(seed=3, options={"layout": "middle"})
    for item in give:
        env.game._engine.send_game_command(f"give {item}")
    if at:
        env.game._engine.send_game_command(f"warp {at[0]} {at[1]}")
    env.step(LEFT)


def turn_to(env: DoomEnv, name: str) -> None:
    """Turn until an object is straight ahead."""
    for _ in range(60):
        view = dict(
            zip(env.vector.names, env.vector.observe(env._variables, env.game.objects, env.ground, 0), strict=True)
        )
        if view[f"{name} 1 cos"] > 0.985:  # a decision turns by 14 degrees; the engine itself aims a little
            return
        env.step(LEFT if view[f"{name} 1 sin"] > 0 else RIGHT)
    raise AssertionError(f"{name} is nowhere")


def last(steps: list[Any]) -> Any:
    return steps[-1][4]["facts"]


def test_lava_harms_and_the_suit_takes_the_harm(protection: DoomEnv) -> None:
    begin(protection, IN_LAVA)
    bare = last([protection.step(LEFT) for _ in range(40)])
    assert bare["inside"] == {"lava": True, "boss": False}
    assert bare["variables"]["HEALTH"] == 75  # five points each 32 tics
    begin(protection, IN_LAVA, give=("Suit",))
    worn = [protection.step(LEFT)[4]["facts"]["variables"] for _ in range(100)]
    armour = np.array([step["ARMOR"] for step in worn])
    health = np.array([step["HEALTH"] for step in worn])
    assert set(np.diff(armour[armour > 0])) == {0, -5}
    assert (health[armour > 0] == 100).all()
    assert armour[-1] == 0
    assert health[-1] < 100


def test_lava_kills_in_the_end(protection: DoomEnv) -> None:
    begin(protection, IN_LAVA)
    for _ in range(200):
        _, reward, terminated, truncated, info = protection.step(LEFT)
        if terminated or truncated:
            break
    assert (terminated, truncated, reward) == (True, False, -1.0)
    facts = info["facts"]  # valid at the last step as well
    assert facts["variables"]["HEALTH"] <= 0
    assert facts["changes"]["HEALTH"] == -5
    assert facts["inside"]["lava"]


def test_only_the_gun_harms_the_boss(protection: DoomEnv) -> None:
    begin(protection, BEFORE_BOSS)
    turn_to(protection, "Boss")
    pistol = last([protection.step(FIRE) for _ in range(20)])
    assert pistol["inside"]["boss"]
    assert pistol["variables"]["DAMAGECOUNT"] == 0
    begin(protection, BEFORE_BOSS, give=("Gun", "Suit"))
    protection.game._engine.send_game_command("use Gun")  # who picks it up has it in his hands at once
    total, kills = 0.0, 0.0
    for _ in range(12):
        turn_to(protection, "Boss")
        for _ in range(8):
            _, reward, terminated, _, info = protection.step(FIRE)
            total += reward
        kills = info["facts"]["variables"]["KILLCOUNT"]
        if kills or terminated:
            break
    assert kills == 1
    assert info["is_success"] is True
    assert total > 2.5


def test_the_boss_kills_whoever_comes_without_the_gun(protection: DoomEnv) -> None:
    begin(protection, BEFORE_BOSS)
    assert any(protection.step(LEFT)[2] for _ in range(150))


def test_the_boss_harms_nobody_outside(protection: DoomEnv) -> None:
    begin(protection, (900, 500))  # in the doorway's line of sight
    facts = last([protection.step(LEFT) for _ in range(100)])
    assert facts["variables"]["HEALTH"] == 100


def test_rewards_are_those_of_the_scenario(protection: DoomEnv) -> None:
    begin(protection, OUTSIDE)
    protection.game._engine.send_game_command("give Suit")
    assert sum(protection.step(LEFT)[1] for _ in range(2)) == pytest.approx(0.5)
    protection.game._engine.send_game_command("give Gun")
    assert sum(protection.step(LEFT)[1] for _ in range(2)) == pytest.approx(1.0)


def test_the_papers_rules_judge_what_happens(protection: DoomEnv) -> None:
    guard = Safeguard.load(SPECS / "doom_suit_and_gun.toml")
    made = labeller(guard, protection)

    def broken(at: tuple[int, int], give: tuple[str, ...]) -> set[str]:
        begin(protection, at, give)
        protection.step(LEFT)
        bits = made.labels(None, LEFT, protection.step(LEFT)[4])
        return set(guard.step(guard.initial, bits).broken)

    assert broken(IN_LAVA, ()) == {"lava only in the suit"}
    assert broken(IN_LAVA, ("Suit",)) == set()
    assert broken(BEFORE_BOSS, ("Suit",)) == {"the boss only with the gun"}
    assert broken(BEFORE_BOSS, ("Gun",)) == set()
    assert broken(OUTSIDE, ()) == set()


def test_the_spec_of_three_worlds_in_this_one(protection: DoomEnv) -> None:
    guard = Safeguard.load(SPECS / "protection_before_hazard.toml")
    made = labeller(guard, protection)
    begin(protection, IN_LAVA)
    labels = [made.labels(None, LEFT, protection.step(LEFT)[4])]
    protection.game._engine.send_game_command("give Suit")
    labels += [made.labels(None, LEFT, protection.step(LEFT)[4]) for _ in range(100)]
    assert [guard.decode(bits) for bits in (labels[0], labels[3], labels[-1])] == [
        ("hazard",),
        ("hazard", "protection"),
        ("hazard",),  # worn out, but it was there once, which is all that this spec asks
    ]
    broken = guard.run(labels).broken != 0
    assert broken[0]
    assert not broken[3:].any()


@pytest.fixture(scope="module")
def center() -> Iterator[DoomEnv]:
    env = DoomEnv("defend_the_center", observation="vector")
    yield env
    env.close()


def shots(env: DoomEnv, aimed: bool, seed: int) -> list[tuple[bool, bool]]:
    """(missed, hit) of the first shots, fired only where the crosshair is on an enemy, or only where it is not."""
    env.reset(seed=seed)
    found, wait = [], 0
    for _ in range(150):
        on = any(env.aims().values())
        pull = on is aimed and wait == 0
        _, _, terminated, _, info = env.step(3 if pull else (0 if wait else 1))
        wait = 6 if pull else max(wait - 1, 0)
        facts = info["facts"]
        if facts["changes"]["AMMO2"] < 0:
            found.append((facts["events"]["shot_missed"], facts["changes"]["HITCOUNT"] > 0))
        if terminated:
            break
    return found


def test_aiming_is_what_makes_shots_hit(center: DoomEnv) -> None:
    aimed = [shot for seed in range(3) for shot in shots(center, True, seed)]
    wild = [shot for seed in range(3) for shot in shots(center, False, seed)]
    assert all(missed is not hit for missed, hit in aimed + wild)
    assert min(len(aimed), len(wild)) >= 5
    assert np.mean([hit for _, hit in aimed]) > 0.7
    assert np.mean([hit for _, hit in wild]) < 0.2


def test_fire_discipline_is_foreseen(center: DoomEnv) -> None:
    guard = Safeguard.load(SPECS / "doom_fire_discipline.toml")
    made: Any = labeller(guard, center)
    rng, state, broken = np.random.default_rng(0), guard.initial, 0
    center.reset(seed=0)
    for _ in range(120):
        allowed = guard.broken[state, made.foresee(center)] == 0
        action = int(rng.choice(np.flatnonzero(allowed)))
        observation, _, terminated, _, info = center.step(action)
        step = guard.step(state, made.labels(observation, action, info))
        state, broken = step.state, broken + len(step.broken)
        if terminated:
            center.reset(seed=1)
            state = guard.initial
    assert broken == 0


def test_poison_is_seen_when_taken() -> None:
    env = DoomEnv("health_gathering", observation="vector")
    try:
        env.reset(seed=0)
        made = labeller(Safeguard.load(SPECS / "doom_no_poison.toml"), env)
        assert any(seen.name == "LargePoison" for seen in env.game.objects)
        taken = []
        for seen in [seen for seen in env.game.objects if seen.name == "LargePoison"]:
            env.game._engine.send_game_command(f"warp {seen.x:.0f} {seen.y:.0f}")
            for _ in range(3):
                _, _, terminated, _, info = env.step(0)
                taken.append((made.labels(None, 0, info), info["facts"]["changes"]["HEALTH"]))
                if terminated:
                    break
        poisoned = [change for label, change in taken if label]
        assert poisoned
        assert max(poisoned) <= -25
        assert min(change for label, change in taken if not label) > -25
    finally:
        env.close()


def test_every_spec_of_doom_fits_its_scenario(protection: DoomEnv, center: DoomEnv) -> None:
    for path in SPECS.glob("doom_*.toml"):
        guard = Safeguard.load(path)
        env = {"doom_fire_discipline": center, "doom_no_poison": None}.get(path.stem, protection)
        if env is not None:
            assert isinstance(labeller(guard, env), DoomLabeller)
