"""MiniGrid's labeller: its numbers are the package's own, its labels what happens, its errors exact."""

from typing import Any

import pytest

from safetune.errors import BindingError, GameError
from safetune.games import SafeguardVectorWrapper, SafeguardWrapper, check_labeller
from safetune.games.minigrid import ACTIONS, COLORS, OBJECTS, STATES, MiniGridFacts
from safetune.safeguard import Safeguard, Spec

gym = pytest.importorskip("gymnasium")
minigrid = pytest.importorskip("minigrid")

HEAD = """
name = "keys"
[propositions]
lava = "in lava"
key = "the key is carried"
door = "before a closed door"
opens = "something is toggled"
[[rule]]
name = "no lava"
always = "!lava"
[[rule]]
name = "only with the key"
always = "door & opens -> key"
[bind.minigrid]
"""
BOUND = """
lava = { standing_on = "lava" }
key = { carries = "key", color = ["yellow", "red"] }
door = { facing = "door", state = ["closed", "locked"] }
opens = { does = "toggle" }
"""


def guard_of(bindings: str = BOUND) -> Safeguard:
    return Safeguard.from_spec(Spec.parse(HEAD + bindings))


def test_the_numbers_are_the_packages_own() -> None:
    from minigrid.core import actions, constants

    assert {name: constants.OBJECT_TO_IDX[name] for name in OBJECTS} == OBJECTS
    assert set(constants.OBJECT_TO_IDX) - set(OBJECTS) == {"unseen", "agent"}
    assert constants.COLOR_TO_IDX == COLORS
    assert constants.STATE_TO_IDX == STATES
    assert {action.name: int(action) for action in actions.Actions} == ACTIONS


def play(env: Any, actions: str) -> list[set[str]]:
    keys = {"l": "left", "r": "right", "f": "forward", "p": "pickup", "t": "toggle"}
    return [set(env.step(ACTIONS[keys[action]])[-1]["safeguard"]["labels"]) for action in actions]


def room(**things: tuple[int, int]) -> Any:
    """An empty room with the agent at (1, 1), looking right, and things placed in it."""
    from minigrid.core import world_object

    env = gym.make("MiniGrid-Empty-8x8-v0")
    made = {
        "lava": world_object.Lava(),
        "key": world_object.Key("yellow"),
        "blue": world_object.Key("blue"),
        "door": world_object.Door("yellow", is_locked=True),
    }
    wrapped = SafeguardWrapper(env, guard_of())
    wrapped.reset(seed=0)
    for name, place in things.items():
        env.unwrapped.grid.set(*place, made[name])
    return wrapped


def test_labels_are_what_happens() -> None:
    env = room(key=(2, 1), door=(3, 1))
    # The key is taken; the door comes before the agent locked, and open it is no closed door.
    assert play(env, "pft") == [{"key"}, {"key", "door"}, {"key", "opens"}]
    assert play(room(lava=(2, 1)), "rlf") == [set(), set(), {"lava"}]
    assert play(room(blue=(2, 1)), "p") == [set()]
    assert play(room(door=(2, 1)), "t") == [{"door", "opens"}]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_it_conforms(mode: str) -> None:
    single = check_labeller(gym.make("MiniGrid-LavaGapS5-v0"), guard_of(), steps=300)
    assert single.episodes > 5
    assert single.held["lava"] > 0
    envs = gym.vector.SyncVectorEnv(
        [lambda: MiniGridFacts(gym.make("MiniGrid-LavaGapS5-v0"))] * 3, autoreset_mode=gym.vector.AutoresetMode(mode)
    )
    assert check_labeller(envs, guard_of(), steps=300).held["lava"] > 0


def test_a_vector_environment_needs_the_facts() -> None:
    envs = gym.vector.SyncVectorEnv([lambda: gym.make("MiniGrid-LavaGapS5-v0")] * 2)
    guarded = SafeguardVectorWrapper(envs, guard_of())
    guarded.reset(seed=0)
    with pytest.raises(GameError, match=r"have no 'facts'; wrap each MiniGrid in .*MiniGridFacts"):
        guarded.step(guarded.action_space.sample())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"lava" }', '"lav" }', r"bind\.minigrid\.lava\.standing_on: unknown object 'lav'\. .*Did you mean 'lava'\?"),
        ('"red"]', '"rde"]', r"bind\.minigrid\.key\.color: unknown color 'rde'\. .*Did you mean 'red'\?"),
        (
            '"locked"]',
            '"shut"]',
            r"bind\.minigrid\.door\.state: unknown state 'shut'\. Valid states: 'closed', 'locked'",
        ),
        ('"toggle"', '"togle"', r"bind\.minigrid\.opens\.does: unknown action 'togle'.*Did you mean 'toggle'\?"),
        ("does =", "dose =", r"opens: expected one of the keys .*, got 'dose'\. Did you mean 'does'\?"),
        ("{ does", '{ carries = "key", does', r"opens: a binding is of one kind, got 'carries' and 'does'"),
        ("state =", "stat =", r"bind\.minigrid\.door\.stat: unknown key 'stat'\. .*Did you mean 'state'\?"),
        ('"toggle"', "5", r"bind\.minigrid\.opens\.does: expected a name or a list of names \(got 5\)"),
        ('opens = { does = "toggle" }', "", r"bind\.minigrid\.opens: this proposition is not bound; bind it by one of"),
        ('{ does = "toggle" }', "{}", r"opens: expected one of the keys .*, got an empty table"),
    ],
)
def test_bindings_are_checked(old: str, new: str, message: str) -> None:
    assert old in BOUND
    guard = guard_of(BOUND.replace(old, new))
    with pytest.raises(BindingError, match=f"<string>: .*{message}"):
        SafeguardWrapper(gym.make("MiniGrid-Empty-5x5-v0"), guard)


def test_all_problems_are_told_at_once() -> None:
    guard = guard_of(BOUND.replace('"lava" }', '"lav" }').replace('"toggle"', '"togle"'))
    with pytest.raises(BindingError, match=r"2 problems\n- bind\.minigrid\.lava.*\n- bind\.minigrid\.opens"):
        SafeguardWrapper(gym.make("MiniGrid-Empty-5x5-v0"), guard)
