"""`World`: a batch of Craft environments on one map. The Gymnasium classes in `env` and `vector` are thin around it.

N environments side by side; each has a random stream of its own, so that what happens to one does not depend on the
others, nor on how many there are.
"""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.games.craft.layout import Layout
from safetune.games.craft.names import ACTIONS, CREATURES, GOALS, ITEMS, MOST, WALKING_ACTIONS, bits_of

OBSERVATIONS = ("cell", "egocentric", "symbolic")
Bools = NDArray[np.bool_]


class Outcome(NamedTuple):
    """What a step led to, with a column or a row for each environment."""

    reward: NDArray[np.float64]
    """(N,)"""
    ended: Bools
    """(2, N) terminated, truncated"""
    facts: NDArray[np.int64]
    """(5, N) see `World.facts`"""
    items: NDArray[np.int8]
    """(N, I) how many of each of `names.ITEMS`"""


class World:
    """N environments on one map.

    Args:
        layout: the map.
        count: N.
        observation: `cell` (the number of the agent's cell), `egocentric` or `symbolic` (see `sight`).
        view: how far an egocentric observation reaches, in cells.
        slip: probability of a slip, instead of the map's.
        max_episode_steps: length at which episodes are truncated, instead of the map's.
    """

    def __init__(
        self,
        layout: Layout,
        count: int,
        *,
        observation: str = "egocentric",
        view: int = 3,
        slip: float | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        from safetune.games.craft import kernel, sight  # numba takes half a second to import

        self._kernel, self._sight = kernel, sight
        self.layout, self.count = layout, _whole("num_envs", count, 1, 1_000_000)
        if observation not in OBSERVATIONS:
            hint = nearest(str(observation), OBSERVATIONS)
            raise GameError(f"observation: got {observation!r}, expected one of {choices(OBSERVATIONS)}.{hint}")
        self.observation = observation
        self._margin = _whole("view", view, 1, 20) if observation == "egocentric" else 1
        self._stride = (layout.shape[1] + 2 * self._margin - 1).bit_length()
        self.actions = ACTIONS if layout.settings.crafting else ACTIONS[:WALKING_ACTIONS]
        steps = layout.settings.steps if max_episode_steps is None else max_episode_steps
        self.steps = _whole("max_episode_steps", steps, 1, 1_000_000)
        self.slip = _probability("slip", layout.settings.slip if slip is None else slip)
        self._prepare()
        self.observation_space = self._space()
        self._rng = np.zeros(count, dtype=np.uint64)
        self._grid = np.zeros((count, self._variants.shape[1]), dtype=np.uint16)
        self._body = np.zeros((count, kernel.FIRST_CREATURE + len(layout.walkers)), dtype=np.int32)
        self._all = np.ones(count, dtype=np.bool_)

    def seed(self, seeds: NDArray[np.uint64], rows: Bools | None = None) -> None:
        """Start the random streams anew: from (N,) seeds, in the marked rows alone if `rows` (N,) is given."""
        mixed = seeds.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x5851F42D4C957F2D)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8FEB86659FD93)  # else the streams of seeds 0, 1, 2 … would be each other, one step on
        mixed ^= mixed >> np.uint64(32)
        self._rng[:] = mixed if rows is None else np.where(rows, mixed, self._rng)

    def step(self, actions: NDArray[np.int64], fresh: Bools) -> Outcome:
        """One step of each environment, a reset instead where `fresh` (N,) says so."""
        out = self._blank()
        state = self._rng, self._grid, self._body
        bad = self._kernel.advance(
            self._variants,
            self._starts,
            self._kinds,
            self._homes,
            self._moves,
            self._chances,
            self._rewards,
            self._sizes,
            *state,
            actions,
            fresh,
            *out,
        )
        if bad >= 0:
            raise GameError(
                f"step: the action of environment {bad} is {actions[bad]}, expected 0 to {len(self.actions) - 1} "
                f"({', '.join(self.actions)})"
            )
        return out

    def reset(self, rows: Bools | None = None) -> Outcome:
        """Reset all environments, or the marked ones; facts and items tell how all of them stand."""
        out = self._blank()
        out.reward[:], out.ended[:] = 0.0, False
        state = self._rng, self._grid, self._body
        fixed = self._variants, self._starts, self._kinds, self._homes, self._chances, self._sizes
        self._kernel.restart(*fixed, *state, self._all if rows is None else rows, out.facts, out.items)
        return out

    def observe(self, into: NDArray[Any] | None = None, rows: Bools | None = None) -> NDArray[Any]:
        """(N,) cell numbers, or (N, D) as `sight` says; `into` an older array, in the marked rows alone."""
        if self.observation == "cell":
            return self.cells() if into is None or rows is None else np.where(rows, self.cells(), into)
        seen = np.empty((self.count, self._width), dtype=np.uint8) if into is None else into
        which, around = self._all if rows is None else rows, self.observation == "egocentric"
        fixed = self._words, self._kinds, self._sizes, self.layout.shape[0]
        self._sight.observe(*fixed, self._grid, self._body, around, which, seen, seen.view(np.uint32))
        return seen

    def foresee(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Facts (5, N * A) and items (N * A, I) that each action would bring: no slip, creatures as near as can be."""
        count = self.count * len(self.actions)
        facts = np.empty((self._kernel.N_FACTS, count), dtype=np.int64)
        items = np.empty((count, len(ITEMS)), dtype=np.int8)
        fixed = self._kinds, self._homes, self._moves, self._rewards, self._sizes
        self._kernel.foresee(*fixed, self._grid, self._body, facts, items)
        return facts, items

    def unsteady(self) -> Bools:
        """(N,) whether chance decides what the agent's next action does: it may slip, or it swims."""
        here = self._grid[np.arange(self.count), self._body[:, self._kernel.AT]]
        swims = (here & bits_of("water") != 0) & (self.layout.settings.swim < 1)
        return swims | (self.slip > 0)

    @staticmethod
    def facts(out: Outcome) -> dict[str, NDArray[Any]]:
        """`info["facts"]` of a step: arrays with a row for each environment."""
        position, cell, action, creeper, cow = out.facts
        return {
            "position": position,
            "cell": cell,
            "action": action,
            "creeper": creeper,
            "cow": cow,
            "inventory": out.items,
        }

    def succeeded(self) -> Bools:
        """(N,) whether the last sub-goal has been reached."""
        return (self._body[:, self._kernel.REACHED] >> (len(GOALS) - 1) & 1).astype(np.bool_)

    def cells(self) -> NDArray[np.int64]:
        """(N,) the number of the agent's cell."""
        at = self._body[:, self._kernel.AT].astype(np.int64)
        row, column = at >> self._stride, at & ((1 << self._stride) - 1)
        return (row - self._margin) * self.layout.shape[1] + column - self._margin

    def carried(self, row: int) -> dict[str, int]:
        """Items and their counts in one environment."""
        first = self._kernel.FIRST_ITEM
        return dict(zip(ITEMS, self._body[row, first : first + len(ITEMS)].tolist(), strict=True))

    def ground(self, row: int) -> NDArray[np.uint16]:
        """(rows, columns) what each cell of one environment holds, creatures left out."""
        rows, columns = self.layout.shape
        edge = self._margin
        grid = self._grid[row].reshape(rows + 2 * edge, 1 << self._stride)
        return grid[edge : edge + rows, edge : edge + columns].copy()

    def walkers(self, row: int) -> list[tuple[str, int]]:
        """The creatures of one environment, each with the number of its cell."""
        places = self._body[row, self._kernel.FIRST_CREATURE :].tolist()
        there = zip(self.layout.walkers, places, strict=True)
        return [(kind, self._cell(place)) for (kind, _), place in there if place != self._kernel.GONE]

    def _blank(self) -> Outcome:
        return Outcome(
            np.empty(self.count),
            np.empty((2, self.count), dtype=np.bool_),
            np.empty((self._kernel.N_FACTS, self.count), dtype=np.int64),
            np.empty((self.count, len(ITEMS)), dtype=np.int8),
        )

    def _cell(self, place: int) -> int:
        row, column = place >> self._stride, place & ((1 << self._stride) - 1)
        return (row - self._margin) * self.layout.shape[1] + column - self._margin

    def _place(self, cell: int) -> int:
        row, column = divmod(cell, self.layout.shape[1])
        return (row + self._margin << self._stride) + column + self._margin

    def _prepare(self) -> None:
        """The arrays that never change; `kernel` says what they are."""
        settings, (rows, columns), edge = self.layout.settings, self.layout.shape, self._margin
        wide = (edge, (1 << self._stride) - edge - columns)
        cells = self.layout.cells.reshape(-1, rows, columns)
        padded = np.pad(cells, ((0, 0), (edge, edge), wide), constant_values=bits_of("wall"))
        self._variants = np.ascontiguousarray(padded.reshape(len(padded), -1))
        self._starts = np.array([self._place(cell) for cell in self.layout.starts], dtype=np.int32)
        self._kinds = np.array([CREATURES.index(kind) for kind, _ in self.layout.walkers], dtype=np.int32)
        self._homes = np.array([self._place(cell) for _, cell in self.layout.walkers], dtype=np.int32)
        self._moves = np.array([settings.creeper_moves, settings.cow_moves])
        self._chances = np.array([self.slip, settings.shift, settings.swim])
        self._rewards = np.array([settings.rewards.get(name, 0.0) for name in (*GOALS, "meat", "step")])
        sizes = [columns, edge, self._stride, self.steps, settings.roam, len(self.actions)]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._words = self._sight.words_of_cells()

    def _space(self) -> spaces.Space[Any]:
        (rows, columns), channels = self.layout.shape, self._sight.CHANNELS
        if self.observation == "cell":
            return spaces.Discrete(rows * columns)
        around = self.observation == "egocentric"
        before = ((2 * self._margin + 1) ** 2 if around else rows * columns) * channels
        after = rows + columns if around else 0
        self._width = -(-(before + len(ITEMS) + after) // 4) * 4
        high = np.ones(self._width, dtype=np.uint8)
        high[before : before + len(ITEMS)] = MOST
        return spaces.Box(np.zeros_like(high), high, dtype=np.uint8)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise GameError(f"{name}: expected a whole number from {low} to {high:,}, got {value!r}")
    return int(value)


def _probability(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise GameError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
