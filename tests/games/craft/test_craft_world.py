"""Craft's dynamics on toy maps: walls, crafting, water, creatures, foresight; each environment by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.craft.layout import Layout
from safetune.games.craft.names import ACTIONS, CELLS, FAR, ITEMS, bits_of
from safetune.games.craft.world import Outcome, World

CRAFTING = "crafting = 1\nreward.step = -0.5\nreward.meat = 0.25\n" + "".join(
    f"reward.{goal} = {2**index}\n" for index, goal in enumerate(("wood", "bench", "iron", "table", "diamond"))
)


def world_of(drawing: str, count: int = 1, settings: str = CRAFTING, **options: object) -> World:
    world = World(Layout.parse(f"{settings}[cells]\n{drawing}"), count, **options)  # type: ignore[arg-type]
    world.seed(np.arange(count, dtype=np.uint64))
    world.reset()
    return world


def play(world: World, *names: str) -> list[Outcome]:
    fresh = np.zeros(world.count, dtype=np.bool_)
    return [world.step(np.full(world.count, ACTIONS.index(name)), fresh) for name in names]


def named(cell: NDArray[np.uint8]) -> list[str]:
    """What a cell of an observation shows."""
    return [name for name, bit in zip((*CELLS, "agent"), cell, strict=True) if bit]


def test_walls_and_the_edge_stop_the_agent() -> None:
    world = world_of("@#\n..")
    places = [int(out.facts[0, 0]) for out in play(world, "up", "right", "left", "down", "right", "right", "down")]
    assert places == [0, 0, 0, 2, 3, 3, 3]


def test_the_whole_chain_is_rewarded_once_and_ends_with_the_diamond() -> None:
    world = world_of("@TTBISD")
    steps = ["right", "use", "right", "use", "right", "use", "use", "right", "use", "right", "use", "right", "use"]
    outcomes = play(world, *steps)
    gains = [float(out.reward[0]) + 0.5 for out in outcomes]
    assert gains == [0, 1, 0, 0, 0, 2, 0, 0, 4, 0, 8, 0, 16]
    assert [bool(out.ended[0, 0]) for out in outcomes] == [False] * 12 + [True]
    assert world.succeeded().tolist() == [True]
    carried = {"pick": 1, "sword": 1, "steel": 1, "diamond": 1}
    assert world.carried(0) == dict.fromkeys(ITEMS, 0) | carried
    assert outcomes[-1].facts[1, 0] == 0, "what was taken lies there no more"


def test_each_step_of_the_chain_asks_for_the_one_before() -> None:
    world = world_of("@BISDU")
    outcomes = play(world, *("right use " * 4).split(), "right", "use")
    assert {float(out.reward[0]) for out in outcomes} == {-0.5}
    assert world.carried(0) == dict.fromkeys(ITEMS, 0) | {"suit": 1}


def test_a_cow_gives_meat_and_a_creeper_falls_to_a_sword_alone() -> None:
    world = world_of("c@w")
    first, second = play(world, "attack", "attack")
    assert (float(first.reward[0]), float(second.reward[0])) == (-0.25, -0.5)
    assert second.facts[3:, 0].tolist() == [1, FAR]
    assert world.carried(0)["meat"] == 1
    world = world_of("@TTB\nc...")
    play(world, *["right", "use", "right", "use", "right", "use", "use", "left", "left", "attack"])
    assert world.walkers(0) == []


def test_distances_and_touching_are_told() -> None:
    world = world_of("@..c")
    outcomes = play(world, "right", "right", "right")
    assert [out.facts[3, 0] for out in outcomes] == [2, 1, 0]
    assert [int(out.facts[1, 0]) for out in outcomes] == [0, 0, bits_of("creeper")]


def test_swimming_is_slow() -> None:
    world = world_of("@~.", 2000, CRAFTING + "swim = 0.25\n")
    _, second = play(world, "right", "right")
    share = (second.facts[0] == 2).mean()
    assert abs(share - 0.25) < 0.05


def test_creatures_keep_to_bare_ground_and_near_home() -> None:
    world = world_of("......\n...L..\n..@c..\n......\n......", 200, CRAFTING + "creeper_moves = 1\nroam = 1\n")
    seen = set()
    for _ in range(30):
        play(world, "stay")
        seen |= {cell for row in range(world.count) for _, cell in world.walkers(row)}
    assert seen == {8, 10, 14, 15, 16, 20, 21, 22}, "all around home, but for the lava"


def test_an_environment_does_not_depend_on_the_others() -> None:
    drawing, settings = "T.c.\n@~.w\n.@.B", CRAFTING + "slip = 0.3\ncreeper_moves = 0.5\ncow_moves = 0.5\nswim = 0.5\n"
    many, rng = world_of(drawing, 5, settings), np.random.default_rng(0)
    alone = world_of(drawing, 1, settings)
    alone.seed(np.array([3], dtype=np.uint64))
    alone.reset()
    fresh = np.zeros(5, dtype=np.bool_)
    for _ in range(50):
        actions = rng.integers(7, size=5)
        left, right = many.step(actions, fresh), alone.step(actions[3:4], fresh[:1])
        np.testing.assert_array_equal(left.facts[:, 3:4], right.facts)
        np.testing.assert_array_equal(many.observe()[3:4], alone.observe())


def test_neighbouring_seeds_give_streams_of_their_own() -> None:
    world = world_of("@" * 64, 512)
    first, second = world.cells(), (world.reset(), world.cells())[1]
    assert len(set(first.tolist())) > 55
    assert (first[1:] != second[:-1]).mean() > 0.9, "not one stream, a step apart"


def test_a_masked_reset_leaves_the_others_as_they_are() -> None:
    world = world_of("@....", 3)
    play(world, "right", "right")
    out = world.reset(np.array([False, True, False]))
    assert out.facts[0].tolist() == [2, 0, 2]
    assert out.facts[2].tolist() == [-1, -1, -1]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(ACTIONS), max_size=12), st.integers(0, 1000))
def test_foresight_comes_true_where_nothing_is_left_to_chance(played: list[str], seed: int) -> None:
    world = world_of("TBI@S\nwLT.D\nU..c.", settings=CRAFTING)
    world.seed(np.array([seed], dtype=np.uint64))
    play(world, *played)
    facts, items = world.foresee()
    action = seed % len(ACTIONS)
    (out,) = play(world, ACTIONS[action])
    np.testing.assert_array_equal(out.facts[:, 0], facts[:, action])
    np.testing.assert_array_equal(out.items[0], items[action])


def test_foresight_counts_on_the_worst_move_of_a_creature() -> None:
    world = world_of("@...c", settings=CRAFTING + "creeper_moves = 0.1\n")
    facts, _ = world.foresee()
    assert facts[3].tolist() == [2, 3, 3, 3, 3, 3, 3]


def test_the_egocentric_view_shows_window_items_and_place() -> None:
    world = world_of("L..\n.@T\n..c", view=1)
    seen = world.observe()[0]
    window = seen[: 9 * 12].reshape(3, 3, 12)
    names = [[named(cell) for cell in row] for row in window]
    assert names == [[["lava"], [], []], [[], ["agent"], ["wood"]], [[], [], ["creeper"]]]
    assert seen[108:].tolist() == [0] * 8 + [0, 1, 0] + [0, 1, 0] + [0, 0]
    play(world, "right", "use")
    seen = world.observe()[0]
    assert seen[108] == 1
    assert seen[:108].reshape(3, 3, 12)[1, 2].tolist() == [name == "wall" for name in (*CELLS, "agent")]


def test_the_symbolic_view_shows_the_whole_map() -> None:
    world = world_of("L@\nw~", observation="symbolic")
    whole = world.observe()[0][: 4 * 12].reshape(2, 2, 12)
    names = [named(cell) for row in whole for cell in row]
    assert names == [["lava"], ["agent"], ["cow"], ["water"]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"observation": "symbol"}, "observation: got 'symbol', expected one of 'cell', 'egocentric', 'symbolic'. Did"),
        ({"view": 0}, "view: expected a whole number from 1 to 20, got 0"),
        ({"slip": float("nan")}, "slip: expected a number from 0 to 1, got nan"),
        ({"max_episode_steps": -1}, "max_episode_steps: expected a whole number from 1 to"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], says: str) -> None:
    with pytest.raises(GameError) as caught:
        world_of("@.", **options)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_an_action_that_there_is_not_changes_nothing() -> None:
    world = world_of("@.", 2)
    with pytest.raises(GameError, match=r"step: the action of environment 1 is 7, expected 0 to 6 \(right, up"):
        world.step(np.array([0, 7]), np.zeros(2, dtype=np.bool_))
    assert world.cells().tolist() == [0, 0]
