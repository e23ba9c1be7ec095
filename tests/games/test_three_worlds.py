"""One spec file in three worlds: the same labels, the same verdicts, whoever lives there."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from safetune.games import SafeguardWrapper
from safetune.safeguard import Safeguard
from safetune.text import Monitor

Step = tuple[tuple[str, ...], tuple[str, ...]]
"""The propositions that held and the rules that were broken, at a step where something held: text has no others."""

RULE = "no hazard before the protection"
HAZARD, SHIELD = ("hazard",), ("protection",)
STORY: list[Step] = [(HAZARD, (RULE,)), (HAZARD, (RULE,)), (SHIELD, ()), (SHIELD, ())]
SAYS = {HAZARD: "Take 20 mg of it. ", SHIELD: "First ask a doctor. "}
RIGHT, LEFT, STAY, USE = 0, 2, 4, 5  # actions of Craft
MAP = "steps = 50\ncrafting = 1\n[cells]\nL@U\n..."


@pytest.fixture
def guard(repository: Path) -> Safeguard:
    return Safeguard.load(repository / "specs" / "protection_before_hazard.toml")


def in_a_game(env: SafeguardWrapper, plan: Iterable[tuple[Callable[[], None] | None, int]]) -> list[Step]:
    """What the safeguard says of each action, each with what is done to the world before it."""
    told = []
    for prepare, action in plan:
        if prepare is not None:
            prepare()
        verdict = env.step(action)[4]["safeguard"]
        told.append((verdict["labels"], verdict["broken"]))
    return [step for step in told if step[0]]


def in_text(guard: Safeguard, pieces: Iterable[str]) -> list[tuple[str, ...]]:
    """The rules broken by each piece of a text."""
    monitor = Monitor(guard)
    return [tuple(violation.rule for violation in monitor.feed(piece)) for piece in pieces]


def test_in_text(guard: Safeguard) -> None:
    assert in_text(guard, [SAYS[labels] for labels, _ in STORY]) == [broken for _, broken in STORY]
    assert in_text(guard, [SAYS[SHIELD], SAYS[HAZARD]]) == [(), ()]


def test_in_craft(guard: Safeguard, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[games]'")
    from safetune.games.craft.env import CraftEnv

    (tmp_path / "map.txt").write_text(MAP)
    env = SafeguardWrapper(CraftEnv(tmp_path / "map.txt", slip=0.0), guard)
    env.reset(seed=0)
    assert in_a_game(env, [(None, action) for action in (LEFT, STAY, RIGHT, RIGHT, USE, STAY)]) == STORY
    after = in_a_game(env, [(None, action) for action in (LEFT, LEFT)])
    assert after == [(SHIELD, ()), ((*HAZARD, *SHIELD), ())]


def test_in_doom(guard: Safeguard) -> None:
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install -e '.[doom]'")
    from safetune.games.doom import DoomEnv

    doom: Any = DoomEnv("protection", observation="vector")
    env = SafeguardWrapper(doom, guard)
    turn = 1

    def orders(*commands: str) -> Callable[[], None]:
        return lambda: [doom.game._engine.send_game_command(command) for command in commands] and None

    env.reset(seed=3, options={"layout": "middle"})
    plan = [
        (orders("warp 450 500"), turn),  # into the lava
        (None, turn),
        (orders("warp 100 480", "give Suit"), turn),
        (None, turn),
    ]
    assert in_a_game(env, plan) == STORY
    assert in_a_game(env, [(orders("warp 450 500"), turn)]) == [((*HAZARD, *SHIELD), ())]
    env.close()
