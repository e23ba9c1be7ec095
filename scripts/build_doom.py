#!/usr/bin/env python
"""Builds the WADs of our Doom scenarios from text: `python scripts/build_doom.py [SCENARIO.toml …]`.

A scenario's TOML draws its layouts letter by letter; each becomes a map in UDMF text (MAP01, MAP02, …), beside a
DECORATE lump for the things on it. The engine builds the nodes itself, so the standard library is all that is needed.
`--check` builds in memory and says whether the packaged file is the same.
"""

import argparse
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "safetune" / "games" / "doom" / "scenarios"
SOURCES = ROOT / "scripts" / "doom"
PLAYER_START = 1
WALL, EMPTY = "#", " "

Point = tuple[int, int]
Lump = tuple[str, bytes]


def wad(lumps: list[Lump]) -> bytes:
    """A PWAD: header, the lumps one after the other, and the directory."""
    body, directory, offset = b"", b"", 12
    for name, data in lumps:
        directory += struct.pack("<ii8s", offset, len(data), name.encode("ascii"))
        body += data
        offset += len(data)
    return struct.pack("<4sii", b"PWAD", len(lumps), offset) + body + directory


def block(kind: str, **fields: Any) -> str:
    """One UDMF block."""
    return f"{kind} {{ " + " ".join(f"{key} = {literal(value)};" for key, value in fields.items()) + " }\n"


def literal(value: Any) -> str:
    """A value as UDMF writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


class Layout:
    """One map: letters on a grid, row 0 in the north."""

    def __init__(self, table: dict[str, Any], build: dict[str, Any]) -> None:
        self.name = str(table["name"])
        self.rows = table["map"].strip("\n").splitlines()
        self.cell = int(build["cell"])
        self.tiles = build["tile"]
        self.things = build["thing"]
        self.check()

    def check(self) -> None:
        """Refuse what could not be built, with its line and column."""
        known = {WALL, EMPTY, *self.tiles, *self.things}
        for line, row in enumerate(self.rows, 1):
            if len(row) != len(self.rows[0]):
                raise SystemExit(f"{self.name}: line {line} has {len(row)} letters, line 1 has {len(self.rows[0])}")
            for column, letter in enumerate(row, 1):
                if letter not in known:
                    raise SystemExit(f"{self.name}: line {line}, column {column}: unknown letter {letter!r}")
        if any(set(row) & set(self.tiles) for row in (self.rows[0], self.rows[-1])):
            raise SystemExit(f"{self.name}: the first and the last line must be wall")

    def tile(self, row: int, column: int) -> str | None:
        """The tile at a cell, under a thing if one stands there; None in a wall."""
        letter = self.rows[row][column]
        letter = self.things[letter]["on"] if letter in self.things else letter
        return letter if letter in self.tiles else None

    def point(self, row: float, column: float) -> Point:
        """The map's coordinates of a grid corner; y grows to the north."""
        return round(column * self.cell), round((len(self.rows) - row) * self.cell)

    def edges(self) -> Iterator[tuple[Point, Point, str, str | None]]:
        """Lines (from, to, tile on the right, tile on the left or None for a wall), joined where they go on."""
        height, width = len(self.rows), len(self.rows[0])
        for row in range(1, height):  # between the rows above and below; seen eastwards, the right hand is south
            sides = [(self.tile(row, column), self.tile(row - 1, column)) for column in range(width)]
            yield from self.runs(sides, lambda column, row=row: self.point(row, column))  # type: ignore[misc]
        for column in range(1, width):  # southwards, the right hand is west
            sides = [(self.tile(row, column - 1), self.tile(row, column)) for row in range(height)]
            yield from self.runs(sides, lambda row, column=column: self.point(row, column))  # type: ignore[misc]

    @staticmethod
    def runs(sides: list[tuple[str | None, str | None]], at: Any) -> Iterator[tuple[Point, Point, str, str | None]]:
        """Lines of one grid line. A line is not joined across a corner of another: the engine needs a vertex there."""
        for index, (right, left) in enumerate(sides):
            if right == left:
                continue
            start, stop = at(index), at(index + 1)
            if right is None:  # the front side must have a sector
                yield stop, start, str(left), None
            else:
                yield start, stop, right, left

    def textmap(self) -> str:
        """The whole TEXTMAP lump."""
        order = list(self.tiles)
        vertices: dict[Point, int] = {}
        lines, sides = "", ""
        n_sides = 0
        for start, stop, right, left in self.edges():
            ends = [vertices.setdefault(point, len(vertices)) for point in (start, stop)]
            sides += self.side(order, right, left)
            fields: dict[str, Any] = {"v1": ends[0], "v2": ends[1], "sidefront": n_sides}
            n_sides += 1
            if left is None:
                fields |= {"blocking": True}
            else:
                sides += self.side(order, left, right)
                fields |= {"sideback": n_sides, "twosided": True}
                n_sides += 1
                if self.tiles[right].get("closed") or self.tiles[left].get("closed"):
                    # What lives there stays there: it neither leaves, nor sees out, nor shoots out or is shot at.
                    fields |= {"blockmonsters": True, "blocksight": True, "blockprojectiles": True}
            lines += block("linedef", **fields)
        points = "".join(block("vertex", x=x, y=y) for x, y in vertices)
        sectors = "".join(self.sector(self.tiles[letter]) for letter in order)
        return 'namespace = "zdoom";\n' + self.placed() + points + lines + sides + sectors

    def side(self, order: list[str], own: str, other: str | None) -> str:
        """One side of a line: a wall, or the step and the lintel between two tiles."""
        texture = self.tiles[own]["wall"]
        if other is None:
            return block("sidedef", sector=order.index(own), texturemiddle=texture)
        step = self.tiles[other]["wall"] if self.tiles[own].get("floor", 0) < 0 else texture
        return block("sidedef", sector=order.index(own), texturebottom=step, texturetop=texture)

    @staticmethod
    def sector(tile: dict[str, Any]) -> str:
        """The sector that all cells of a tile share."""
        fields = {
            "heightfloor": tile.get("floor", 0),
            "heightceiling": tile["ceiling"],
            "texturefloor": tile["flat"],
            "textureceiling": tile["top"],
            "lightlevel": tile["light"],
        }
        harm = {"damageamount": tile["damage"], "damageinterval": 32} if "damage" in tile else {}
        return block("sector", **fields, **harm)

    def placed(self) -> str:
        """The things, and the player's start on the first place for one."""
        every = {f"skill{level}": True for level in range(1, 6)} | {"single": True}
        out, begun = "", False
        for row, letters in enumerate(self.rows):
            for column, letter in enumerate(letters):
                if letter not in self.things:
                    continue
                thing = self.things[letter]
                x, y = self.point(row + 0.5, column + 0.5)
                out += block("thing", x=x, y=y, angle=thing.get("angle", 0), type=thing["type"], **every)
                if thing.get("start") and not begun:
                    out += block("thing", x=x, y=y, angle=0, type=PLAYER_START, **every)
                    out += block("thing", x=x, y=y, angle=0, type=thing["dice"], **every)
                    begun = True
        if not begun:
            raise SystemExit(f"{self.name}: no start; one thing with start = true must be on the map")
        return out


def build(path: Path) -> tuple[Path, bytes]:
    """The WAD's path and content for a scenario."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    lumps: list[Lump] = [("DECORATE", (SOURCES / table["build"]["decorate"]).read_bytes())]
    for number, layout in enumerate(table.get("layout", ()), 1):
        text = Layout(layout, table["build"]).textmap()
        lumps += [(f"MAP{number:02}", b""), ("TEXTMAP", text.encode("ascii")), ("ENDMAP", b"")]
    return path.parent / table["build"].get("wad", table["wad"]), wad(lumps)


def main() -> int:
    """Build the scenarios named, or all that have a `[build]` table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is not up to date")
    options = parser.parse_args()
    found = options.scenarios or [p for p in sorted(SCENARIOS.glob("*.toml")) if "[build]" in p.read_text("utf-8")]
    stale = 0
    for path in found:
        target, content = build(path)
        same = target.is_file() and target.read_bytes() == content
        stale += not same
        if not same and not options.check:
            target.write_bytes(content)
        verdict = "" if same else ", not up to date" if options.check else ", written"
        print(f"{target.name}: {len(content):,} bytes{verdict}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
