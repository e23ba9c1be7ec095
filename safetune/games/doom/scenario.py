"""Scenario files: which WAD is played, with which actions, for which reward, and what can be observed of it.

Each key below is one of a scenario's TOML. `[build]` and `[[layout]]` describe a map of our own: the build script makes
the WAD from them, and `ground` reads regions from the same letters. Problems are `GameError`s with file and key.
"""

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StrictBool, ValidationError

from safetune.errors import GameError, choices, nearest
from safetune.safeguard.wording import problems

SCENARIOS = Path(__file__).parent / "scenarios"
"""The folder of the scenarios that come with the package."""
STOCK = "stock:"
"""A WAD so prefixed is one that the vizdoom package brings."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tile(_Table):
    """`[build.tile]`: what a letter of the map is made of; heights in map units, light from 0 to 255."""

    flat: str
    """Texture of the floor."""
    top: str
    """Texture of the ceiling."""
    wall: str
    """Texture of the walls around it."""
    ceiling: int
    floor: int = 0
    light: int = 192
    damage: int | None = None
    """Points of health that it takes each 32 tics."""
    region: str | None = None
    """Region that these cells belong to."""
    closed: StrictBool = False
    """Its border stops monsters, their sight and all projectiles, not the player."""


class Thing(_Table):
    """`[build.thing]`: what a letter of the map puts there."""

    type: int
    """Editor number of the actor."""
    on: str
    """Letter of the tile below it."""
    start: StrictBool = False
    """The player starts on the first of these."""
    dice: int | None = None
    """Editor number of what is put under the player."""


class Build(_Table):
    """`[build]`: how the layouts' letters become maps."""

    cell: int = Field(gt=0)
    """Side of one letter's square, in map units."""
    decorate: str
    """File with the actors, in scripts/doom."""
    wad: str | None = None
    """Where the result goes, if not to the scenario's own `wad`."""
    tile: dict[str, Tile] = {}
    thing: dict[str, Thing] = {}


class Layout(_Table):
    """`[[layout]]`: one map, MAP01 for the first."""

    name: str
    map: str


class Fact(_Table):
    """`[fact.<name>]`: what happened in a decision, told by variables: all of these together."""

    falls: tuple[str, ...] = ()
    rises: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    """Neither rises nor falls."""


class Success(_Table):
    """An episode is a success once the variable is above a number."""

    variable: str
    above: Number = 0.0


class Vector(_Table):
    """`[vector]`: the low-dimensional observation."""

    scale: dict[str, Positive] = {}
    """Variables that are shown, and what counts as 1."""
    nearest: dict[str, int] = {}
    """Kinds of objects, and how many of the nearest are shown."""
    rays: tuple[str, ...] = ()
    """What distances are measured to, in eight directions: `wall` and regions."""


class Scenario(_Table):
    """One scenario file."""

    about: str
    wad: str
    """Beside the file, or `stock:NAME.wad`."""
    patch: str | None = None
    """A WAD beside the file that is loaded after the first."""
    timeout: int = Field(gt=0)
    """Tics of an episode, after which it is truncated; 35 a second."""
    start: int = Field(default=10, ge=0)
    """Tics that pass before the first decision."""
    skill: int = Field(default=3, ge=1, le=5)
    actions: tuple[tuple[str, ...], ...] = Field(min_length=1)
    """Buttons that each action holds down."""
    variables: tuple[str, ...]
    """Game variables that are read at every step."""
    enemies: tuple[str, ...] = ()
    """Classes of objects that `enemy` stands for."""
    labels: StrictBool = False
    """Objects' boxes on the screen are read, so that it is known what is aimed at; costs some time."""
    success: Success | None = None
    reward: dict[str, Number]
    """What one point of a variable's rise is worth; `living` a decision, `death` the end by death."""
    gauges: dict[str, Positive] = {}
    """Variables drawn as bars along the lower edge of pixels, and what fills the bar."""
    fact: dict[str, Fact] = {}
    vector: Vector = Vector()
    build: Build | None = None
    layout: tuple[Layout, ...] = ()
    _source: str = PrivateAttr("<scenario>")

    @property
    def source(self) -> str:
        """The file that the scenario was read from."""
        return self._source

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return Path(self._source).parent

    @cached_property
    def buttons(self) -> tuple[str, ...]:
        """Every button that some action holds down."""
        return tuple(dict.fromkeys(button for action in self.actions for button in action))

    @cached_property
    def read(self) -> tuple[str, ...]:
        """Every variable that is needed: those declared and those that something else here speaks of."""
        named = [*self.variables, *(key for key in self.reward if key not in ("living", "death")), *self.gauges]
        named += [name for fact in self.fact.values() for name in (*fact.falls, *fact.rises, *fact.steady)]
        named += [*self.vector.scale, *([self.success.variable] if self.success else [])]
        return tuple(dict.fromkeys(named))

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Named regions, in the order of the tiles."""
        tiles = self.build.tile.values() if self.build else ()
        return tuple(dict.fromkeys(tile.region for tile in tiles if tile.region is not None))

    @classmethod
    def load(cls, name: str | Path) -> "Scenario":
        """Read a scenario that comes with the package, by name, or any other by its path."""
        path = Path(name)
        if isinstance(name, str) and path.suffix != ".toml" and path.parent == Path():
            path = SCENARIOS / f"{name}.toml"
            known = [found.stem for found in SCENARIOS.glob("*.toml")]
            if name not in known:
                hint = nearest(name, known)
                raise GameError(
                    f"scenario: unknown '{name}'. Valid: {choices(known)}, or a path to a .toml file.{hint}"
                )
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise GameError(f"{path}: cannot read this scenario: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise GameError(f"{path}: not valid TOML: {error}") from None
        try:
            scenario = cls.model_validate(table)
        except ValidationError as error:
            raise GameError("\n".join(f"{path}: {text}" for text in problems(error, cls))) from None
        scenario._source = str(path)
        return scenario._checked()

    def _checked(self) -> "Scenario":
        """Names that must fit together."""
        for ray in self.vector.rays:
            if ray not in (valid := ("wall", *self.regions)):
                hint = nearest(ray, valid)
                raise GameError(f"{self.source}: vector.rays: unknown '{ray}'. Valid: {choices(valid)}.{hint}")
        if self.layout and self.build is None:
            raise GameError(f"{self.source}: layout: needs a [build] table, which says what its letters are")
        return self
