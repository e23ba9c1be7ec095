"""Pictures of Craft: tiles of our own, creatures and agent on top, and a strip with what is carried and achieved.

Sprites are drawn with signs in `sprites.txt`, 12 x 12 pixels each; ground, water, lava and rock are textures made here.
A picture is (rows, columns, 3) bytes.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, install_hint
from safetune.games.craft.names import CELLS, ITEMS
from safetune.games.craft.world import World

Image = NDArray[np.uint8]
TILE = 36
"""Pixels of a cell's side: a whole multiple of a sprite's."""
PIXELS = 12

_TEXTURES = {
    "ground": ((104, 159, 56), 9),
    "wall": ((120, 122, 128), 10),
    "water": ((64, 132, 214), 7),
    "lava": ((226, 88, 34), 12),
    "strip": ((46, 42, 40), 3),
}
"""Colour, and how much its pixels differ."""
_ON_GROUND = ("wood", "bench", "iron", "table", "diamond", "suit", "creeper", "cow")


@dataclass(frozen=True)
class Picture:
    """What is drawn of one environment."""

    ground: NDArray[np.uint16]
    """(rows, columns)"""
    agent: tuple[int, int]
    creatures: tuple[tuple[str, int, int], ...]
    carried: dict[str, int]
    crafting: bool

    @classmethod
    def of(cls, world: World, row: int) -> "Picture":
        """The picture of one environment of a batch, as it stands."""
        columns = world.layout.shape[1]
        creatures = tuple((kind, *divmod(cell, columns)) for kind, cell in world.walkers(row))
        agent = divmod(int(world.cells()[row]), columns)
        crafting = bool(world.layout.settings.crafting)
        return cls(world.ground(row), agent, creatures, world.carried(row), crafting)

    def draw(self, tile: int = TILE) -> Image:
        """(height, width, 3); `tile` is a whole multiple of 12, which is what sprites measure."""
        if tile < PIXELS or tile % PIXELS:
            raise GameError(f"render: tile: expected a multiple of {PIXELS}, got {tile}")
        rows, columns = self.ground.shape
        strip = PIXELS + 4 if self.crafting else 0
        canvas = np.empty((rows * PIXELS + strip, columns * PIXELS, 3), dtype=np.uint8)
        for row in range(rows):
            for column in range(columns):
                _cell(canvas, row, column, int(self.ground[row, column]))
        for kind, row, column in self.creatures:
            _stamp(canvas, sprites()[kind], row * PIXELS, column * PIXELS)
        _stamp(canvas, sprites()["agent"], self.agent[0] * PIXELS, self.agent[1] * PIXELS)
        if self.crafting:
            self._strip(canvas, rows * PIXELS)
        scale = tile // PIXELS
        return np.ascontiguousarray(canvas.repeat(scale, axis=0).repeat(scale, axis=1))

    def _strip(self, canvas: Image, top: int) -> None:
        """What is carried, one slot an item, dim where there is none."""
        canvas[top:] = texture("strip", 0, canvas.shape[1])[: canvas.shape[0] - top]
        canvas[top] = (20, 18, 17)
        left, pitch = 2, min(PIXELS + 7, (canvas.shape[1] - 4) // len(ITEMS))
        for item in ITEMS:
            count, icon = self.carried[item], sprites()[f"item {item}"]
            _stamp(canvas, icon, top + 2, left, dim=count == 0)
            if count > 1 and pitch >= PIXELS + 4:
                _stamp(canvas, digit(count), top + 9, left + PIXELS)
            left += pitch


def show(frame: Image, fps: int) -> None:
    """Show a picture in a window, one for all pictures."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise GameError(f"render_mode 'human' needs matplotlib. {install_hint('draw')} ({error})") from error
    figure = pyplot.figure("Craft", figsize=(frame.shape[1] / 72, frame.shape[0] / 72))
    if figure.axes and figure.axes[0].images:
        figure.axes[0].images[0].set_data(frame)
    else:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(frame, interpolation="nearest")
    figure.canvas.draw_idle()
    figure.canvas.start_event_loop(1 / fps)


@cache
def sprites() -> dict[str, NDArray[np.int16]]:
    """Name to (12, 12, 3) colours; -1 where nothing is drawn."""
    palette: dict[str, tuple[int, int, int]] = {}
    drawn: dict[str, NDArray[np.int16]] = {}
    name, lines = "", list[str]()
    for line in (Path(__file__).parent / "sprites.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            sign, colour = line[2:].split()
            palette[sign] = (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16))
        elif line.startswith("[") and line.endswith("]"):
            name, lines = line[1:-1], []
        elif name and len(line) == PIXELS:
            lines.append(line)
            if len(lines) == PIXELS:
                drawn[name] = np.array([[palette.get(sign, (-1, -1, -1)) for sign in row] for row in lines], np.int16)
    return drawn


@cache
def texture(name: str, variant: int, columns: int = PIXELS) -> Image:
    """(16, columns, 3) a patch of ground or the like, the same for the same variant."""
    colour, spread = _TEXTURES[name]
    rng = np.random.default_rng([len(name), *map(ord, name), variant])
    grain = rng.integers(-spread, spread + 1, size=(PIXELS + 4, columns, 1))
    patch = np.array(colour) + grain
    if name in ("water", "lava"):  # ripples
        wave = (np.arange(columns)[None] + 3 * np.arange(PIXELS + 4)[:, None] + 5 * variant) % 11 < 2
        patch = patch + wave[..., None] * np.array((34, 30, 24) if name == "water" else (24, 92, 40))
    if name == "ground":  # tufts of grass
        patch = patch - (rng.random((PIXELS + 4, columns, 1)) < 0.06) * 26
    if name == "wall":  # courses of stone
        row, column = np.indices((PIXELS + 4, columns))
        joint = (row % 6 == 5) | ((column + 6 * (row // 6 % 2)) % 12 == 11)
        patch = patch - joint[..., None] * 34 + ((row % 6 == 0) & ~joint)[..., None] * 14
    return np.clip(patch, 0, 255).astype(np.uint8)


@cache
def digit(number: int) -> NDArray[np.int16]:
    """(5, 3, 3) a small white digit."""
    glyphs = {2: 0b111001111100111, 3: 0b111001111001111, 4: 0b101101111001001, 5: 0b111100111001111}
    glyphs |= {6: 0b111100111101111, 7: 0b111001001001001, 8: 0b111101111101111, 9: 0b111101111001111}
    bits = [glyphs.get(number, 0) >> 14 - index & 1 for index in range(15)]
    return np.where(np.array(bits).reshape(5, 3, 1) == 1, 240, -1).repeat(3, axis=2).astype(np.int16)


def _cell(canvas: Image, row: int, column: int, holds: int) -> None:
    names = [name for bit, name in enumerate(CELLS) if holds >> bit & 1]
    below = next((name for name in ("wall", "lava", "water") if name in names), "ground")
    top, left = row * PIXELS, column * PIXELS
    patch = texture(below, (7 * row + 3 * column) % 5)
    canvas[top : top + PIXELS, left : left + PIXELS] = patch[:PIXELS]
    for name in names:
        if name in _ON_GROUND:
            _stamp(canvas, sprites()[name], top, left)


def _stamp(canvas: Image, sprite: NDArray[Any], top: int, left: int, *, dim: bool = False) -> None:
    height, width = sprite.shape[:2]
    there = canvas[top : top + height, left : left + width]
    colours = sprite[: there.shape[0], : there.shape[1]]
    shown = colours // 4 + 45 if dim else colours
    np.copyto(there, shown.astype(np.uint8), where=colours >= 0)
