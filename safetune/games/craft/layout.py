"""Maps: text files of signs, and reading them.

    # A comment; every map explains its signs in its head.
    slip = 0.05

    [cells]
    ..T..
    @.L.D

    [shifted right]
    .B...
    .....

Settings first (those of `Settings`, rewards as `reward.wood = 1`), then drawings of the same size laid over one
another: what one cell holds in two of them, it holds both. At each reset a shift is drawn, +1 or -1, each with the
probability `shift`, else 0; `[shifted right]` moves along its rows by that much, `[shifted down]` along its columns,
`[cells]` stays. Every problem is a `GameError` with file, line and column.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.games.craft.names import GLYPHS, GOALS, START, WALKERS, bits_of

FOLDER = Path(__file__).parent / "maps"
SHIFTS = (0, 1, -1)
_DRAWINGS = {"cells": (0, 0), "shifted right": (0, 1), "shifted down": (1, 0)}
_REWARDS = (*GOALS, "meat", "step")


@dataclass(frozen=True)
class Settings:
    """What a map may set; probabilities are per step."""

    slip: float = 0.0
    """Probability that an action is replaced by a uniformly random one."""
    shift: float = 0.0
    """Probability of the shift +1, and of -1, at a reset."""
    steps: int = 1000
    """Length at which an episode is truncated."""
    crafting: int = 0
    """1: things can be used and attacked, sub-goals are rewarded, the diamond ends the episode."""
    swim: float = 1.0
    """Probability that a step out of water succeeds."""
    creeper_moves: float = 0.0
    cow_moves: float = 0.0
    roam: int = 2
    """How far creatures go from where they started (rows and columns, whichever is more)."""
    rewards: dict[str, float] = field(default_factory=dict)
    """Sub-goal, `meat` (a cow) or `step` to its reward; 0 where not given."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A map, read and checked. Cells are numbered row by row."""

    name: str
    settings: Settings
    shape: tuple[int, int]
    """(rows, columns)"""
    cells: NDArray[np.uint16]
    """(3, rows * columns) what each cell holds under each of `SHIFTS`"""
    starts: tuple[int, ...]
    """One of them is drawn at each reset."""
    walkers: tuple[tuple[str, int], ...]
    """Creatures and where they start."""

    @classmethod
    def load(cls, name: str | Path) -> "Layout":
        """A map of the package by its name, such as `valley`, or any other by its path."""
        path = FOLDER / f"{name}.txt"
        if not path.is_file():
            path = Path(name)
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, ValueError) as error:
            own = [file.stem for file in FOLDER.glob("*.txt")]
            reason = getattr(error, "strerror", None) or error
            raise GameError(
                f"map '{name}': cannot read it: {reason}. Maps of the package: {choices(own)}.{nearest(str(name), own)}"
            ) from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, source: str = "<string>") -> "Layout":
        """Read and check a map given as text; `source` is what errors call it."""
        given, drawings = _sections(text, source)
        settings = _settings(given, source)
        if "cells" not in drawings:
            raise GameError(f"{source}: no drawing [cells]")
        shape = _shape(drawings, source)
        cells = np.zeros((len(SHIFTS), *shape), dtype=np.uint16)
        starts: list[int] = []
        walkers: list[tuple[str, int]] = []
        for name, lines in drawings.items():
            for row, (number, line) in enumerate(lines):
                for column, sign in enumerate(line):
                    where = f"{source}:{number}:{column + 1}"
                    if sign == START or sign in WALKERS:
                        _only_in_cells(name, sign, where)
                        place = row * shape[1] + column
                        starts += [place] if sign == START else []
                        walkers += [(WALKERS[sign], place)] if sign in WALKERS else []
                    elif sign not in GLYPHS:
                        raise GameError(f"{where}: unknown sign {sign!r}. Valid signs: {_signs()}")
                    elif (thing := GLYPHS[sign]) is not None:
                        _put(cells, bits_of(thing), (row, column), _DRAWINGS[name], settings.shift > 0, where)
        if not starts:
            raise GameError(f"{source}: [cells] has no start; mark one cell or several with '{START}'")
        flat = cells.reshape(len(SHIFTS), -1)
        flat.setflags(write=False)
        return cls(Path(source).stem, settings, shape, flat, tuple(starts), tuple(walkers))

    def stands(self, creature: str) -> bool:
        """Whether one of these stands still somewhere on the map."""
        return bool((self.cells & bits_of(creature)).any())


def _sections(text: str, source: str) -> tuple[dict[str, tuple[str, str]], dict[str, list[tuple[int, str]]]]:
    """Settings, each with where it stands, and the drawings' lines with their numbers."""
    settings: dict[str, tuple[str, str]] = {}
    drawings: dict[str, list[tuple[int, str]]] = {}
    section: list[tuple[int, str]] | None = None
    for number, line in enumerate(map(str.rstrip, text.splitlines()), 1):
        where = f"{source}:{number}"
        if not line or line.startswith("# ") or line == "#":
            continue
        if line.startswith("["):
            name = line.strip("[]")
            if name not in _DRAWINGS or name in drawings:
                problem = "is there twice" if name in drawings else "is unknown"
                raise GameError(f"{where}: the drawing [{name}] {problem}. Valid: {choices(_DRAWINGS)}")
            section = drawings.setdefault(name, [])
        elif section is not None:
            section.append((number, line))
        else:
            key, sign, value = (part.strip() for part in line.partition("="))
            if not sign or key in settings:
                problem = f"'{key}' is set twice" if sign else f"expected 'key = value' or '[cells]', got '{line}'"
                raise GameError(f"{where}: {problem}")
            settings[key] = (value, where)
    return settings, drawings


def _settings(given: dict[str, tuple[str, str]], source: str) -> Settings:
    kinds = {item.name: item.type for item in fields(Settings) if item.name != "rewards"}
    keys = [*kinds, *(f"reward.{name}" for name in _REWARDS)]
    values: dict[str, float] = {}
    for key, (text, where) in given.items():
        if key not in keys:
            raise GameError(f"{where}: unknown key '{key}'. Valid keys: {choices(keys)}.{nearest(key, keys)}")
        values[key] = _number(key, text, whole=kinds.get(key) is int, where=where)
    rewards = {key.removeprefix("reward."): value for key, value in values.items() if key.startswith("reward.")}
    plain = {key: int(value) if kinds[key] is int else value for key, value in values.items() if key in kinds}
    settings = Settings(**plain, rewards=rewards)  # type: ignore[arg-type]
    if settings.shift > 0.5:
        raise GameError(f"{given['shift'][1]}: shift: expected at most 0.5, for it is drawn either way")
    return settings


def _number(key: str, text: str, *, whole: bool, where: str) -> float:
    if key.startswith("reward."):
        low, high, expected = -1e6, 1e6, "a finite number"
    elif whole:
        low, high = {"crafting": (0, 1), "steps": (1, 30_000)}.get(key, (0, 1000))
        expected = f"a whole number from {low} to {high}"
    else:
        low, high, expected = 0.0, 1.0, "a number from 0 to 1"
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise GameError(f"{where}: {key}: expected {expected}, got '{text}'")
    return value


def _shape(drawings: dict[str, list[tuple[int, str]]], source: str) -> tuple[int, int]:
    rows, columns = len(drawings["cells"]), len(drawings["cells"][0][1]) if drawings["cells"] else 0
    if not rows:
        raise GameError(f"{source}: [cells] is empty")
    for name, lines in drawings.items():
        for number, line in lines:
            if len(line) != columns:
                raise GameError(f"{source}:{number}: expected {columns} signs, as in the first row, got {len(line)}")
        if len(lines) != rows:
            raise GameError(f"{source}: [{name}]: expected {rows} rows, as in [cells], got {len(lines)}")
    if rows * columns > 10_000:
        raise GameError(f"{source}: expected at most 10,000 cells, got {rows} x {columns}")
    return rows, columns


def _put(
    cells: NDArray[np.uint16], bits: int, at: tuple[int, int], step: tuple[int, int], shifts: bool, where: str
) -> None:
    """Lay a thing into the grid of each shift that can be drawn."""
    for index, shift in enumerate(SHIFTS if shifts else SHIFTS[:1]):
        row, column = at[0] + shift * step[0], at[1] + shift * step[1]
        if not (0 <= row < cells.shape[1] and 0 <= column < cells.shape[2]):
            raise GameError(f"{where}: what is drawn here leaves the map when it is shifted by {shift:+d}")
        cells[index, row, column] |= bits


def _only_in_cells(drawing: str, sign: str, where: str) -> None:
    if drawing != "cells":
        raise GameError(f"{where}: '{sign}' cannot be shifted; draw it in [cells]")


def _signs() -> str:
    return " ".join([*GLYPHS, START, *WALKERS])
