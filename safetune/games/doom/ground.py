"""The ground of a layout: which region a position is in, and how far it is to walls and regions.

A layout's letters say both, since the map was built from them. Positions are map units, x to the east, y to the north;
headings are degrees counter-clockwise from east, as the engine has them.
"""

import numpy as np
from numpy.typing import NDArray

from safetune.games.doom.scenario import Build, Layout

DIRECTIONS = 8
REACH = 1024.0
"""How far rays look, in map units."""


class Ground:
    """One layout's cells."""

    def __init__(self, layout: Layout, build: Build, regions: tuple[str, ...]) -> None:
        rows = layout.map.strip("\n").splitlines()
        tiles = [[build.thing[letter].on if letter in build.thing else letter for letter in row] for row in rows]
        found = [[build.tile[t].region if t in build.tile else None for t in row] for row in tiles]
        self.regions = regions
        self.cell = float(build.cell)
        self.size = np.array([len(rows[0]), len(rows)]) * self.cell
        """Width and height, in map units."""
        self._inside = np.array([[[cell == name for name in regions] for cell in row] for row in found], dtype=np.bool_)
        self._wall = np.array([[t not in build.tile for t in row] for row in tiles], dtype=np.bool_)
        steps = np.arange(1, int(REACH / self.cell * 2) + 1) * self.cell / 2
        turns = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
        self._turns, self._steps = turns, steps

    def inside(self, x: float, y: float) -> NDArray[np.bool_]:
        """(R,) which regions a position is in; none outside the map."""
        row, column = int((self.size[1] - y) // self.cell), int(x // self.cell)
        if 0 <= row < len(self._wall) and 0 <= column < len(self._wall[0]):
            return self._inside[row, column]
        return np.zeros(len(self.regions), dtype=np.bool_)

    def rays(self, x: float, y: float, heading: float, kinds: tuple[str, ...]) -> NDArray[np.float32]:
        """(K, 8) distances from 0 to 1 to the first cell of each kind; the first ray goes straight ahead."""
        angles = self._turns + np.deg2rad(heading)
        xs = x + np.cos(angles)[:, None] * self._steps
        ys = y + np.sin(angles)[:, None] * self._steps
        rows = np.clip((self.size[1] - ys) // self.cell, 0, len(self._wall) - 1).astype(np.intp)
        columns = np.clip(xs // self.cell, 0, len(self._wall[0]) - 1).astype(np.intp)
        out = np.ones((len(kinds), DIRECTIONS), dtype=np.float32)
        for index, kind in enumerate(kinds):
            cells = self._wall if kind == "wall" else self._inside[..., self.regions.index(kind)]
            hits = cells[rows, columns]
            first = hits.argmax(axis=1)
            out[index] = np.where(hits.any(axis=1), self._steps[first] / REACH, 1.0)
        return out
