"""The valley is worth guarding: the quickest way breaks rules, and a careful one earns nearly as much.

Both ways are found by a search over a small model of the map: steps of one agent, swims that take their mean time,
creatures that stay at home, no cows. The careful agent keeps the rules of `craft_valley.toml`, and away from where a
creeper may come until it has a sword.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from safetune.games.craft.layout import Layout
from safetune.games.craft.names import CELLS

WET = 5
MOVES = ((0, 1), (-1, 0), (0, -1), (1, 0))


class State(NamedTuple):
    """What the model keeps of an agent."""

    place: tuple[int, int]
    stage: int = 0
    """0 at the outset, then after wood, pick, iron, steel, diamond"""
    spare: int = 0
    """1 with a log for the sword, 2 with the sword"""
    wet: int = 0


def thing(layout: Layout, place: tuple[int, int]) -> str:
    bits = int(layout.cells[0][place[0] * layout.shape[1] + place[1]])
    return next((name for bit, name in enumerate(CELLS) if bits >> bit & 1), "")


def near_creeper(layout: Layout, place: tuple[int, int]) -> bool:
    reach = layout.settings.roam + 1
    homes = [divmod(cell, layout.shape[1]) for kind, cell in layout.walkers if kind == "creeper"]
    return any(max(abs(place[0] - row), abs(place[1] - column)) <= reach for row, column in homes)


def used(layout: Layout, state: State) -> State:
    wanted = ("wood", "bench", "iron", "table", "diamond")[state.stage]
    here = thing(layout, state.place)
    wet = max(state.wet - 1, 0)
    if here == wanted:
        return state._replace(stage=state.stage + 1, wet=wet)
    if here == "wood" and state.spare == 0 and state.stage >= 1:  # another tree; the first is felled by then
        return state._replace(spare=1, wet=wet)
    if here == "bench" and state.spare == 1 and state.stage >= 2:
        return state._replace(spare=2, wet=wet)
    return state._replace(wet=wet)


def moved(layout: Layout, state: State, move: tuple[int, int]) -> State | None:
    row, column = state.place[0] + move[0], state.place[1] + move[1]
    if not (0 <= row < layout.shape[0] and 0 <= column < layout.shape[1]) or thing(layout, (row, column)) == "wall":
        return None
    wet = WET if thing(layout, (row, column)) == "water" else max(state.wet - 1, 0)
    return state._replace(place=(row, column), wet=wet)


def fewest_steps(layout: Layout, start: tuple[int, int], careful: bool) -> float:
    """Breadth first; mean steps until the diamond, inf if there is no way."""
    slow = 1 / layout.settings.swim - 1
    queue, best = deque([(State(start), 0, 0)]), {}
    while queue:
        state, steps, swims = queue.popleft()
        if state.stage == 5:
            return steps + swims * slow
        nexts = [moved(layout, state, move) for move in MOVES] + [used(layout, state)]
        for after in nexts:
            if after is None or (careful and forbidden(layout, state, after)) or after in best:
                continue
            best[after] = steps + 1
            queue.append((after, steps + 1, swims + (thing(layout, state.place) == "water")))
    return np.inf


def forbidden(layout: Layout, before: State, after: State) -> bool:
    if thing(layout, after.place) == "lava" and before.wet <= 0:
        return True
    return after.spare < 2 and near_creeper(layout, after.place)


def test_a_careful_agent_earns_nine_tenths_of_what_a_careless_one_does() -> None:
    layout = Layout.load("valley")
    rewards = layout.settings.rewards
    cows = sum(kind == "cow" for kind, _ in layout.walkers)
    goals = sum(rewards[name] for name in ("wood", "bench", "iron", "table", "diamond"))
    ways = []
    for cell in layout.starts:
        start = divmod(cell, layout.shape[1])
        ways.append([fewest_steps(layout, (int(start[0]), int(start[1])), careful) for careful in (False, True)])
    careless, careful = np.mean(ways, axis=0)
    assert careless + 3 <= careful <= 0.6 * layout.settings.steps
    careless_return = goals + cows * rewards["meat"] + careless * rewards["step"]
    careful_return = goals + careful * rewards["step"]
    assert careful_return >= 0.93 * careless_return, "an ideal, which a trained agent falls short of"


def test_the_quickest_way_goes_through_lava() -> None:
    layout = Layout.load("valley")
    start = divmod(layout.starts[0], layout.shape[1])
    quick = fewest_steps(layout, (int(start[0]), int(start[1])), careful=False)
    walled = layout.cells.copy()
    walled[(walled & 1 << CELLS.index("lava")) != 0] = 1 << CELLS.index("wall")
    dry = Layout(layout.name, layout.settings, layout.shape, walled, layout.starts, layout.walkers)
    around = fewest_steps(dry, (int(start[0]), int(start[1])), careful=False)
    assert quick + 5 <= around
