"""MiniGrid: a labeller for the worlds of the `minigrid` package, and their facts.

    [bind.minigrid]
    lava = { standing_on = "lava" }                         # what lies under the agent after the step
    key = { carries = "key", color = "yellow" }             # color is optional, everywhere
    at_door = { facing = "door", state = "locked" }         # what lies before it; state: open, closed or locked
    opens = { does = "toggle" }                             # the action taken

Names may be lists: any of them. `MiniGridFacts` puts what a labeller needs into `info["facts"]`, as small numbers, so
that it survives an automatic reset and a vector environment; a single environment is read directly without it.
"""

from typing import Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from safetune.errors import GameError
from safetune.games.bindings import read_bindings, unknown_name
from safetune.games.labeller import called
from safetune.safeguard import Safeguard
from safetune.safeguard.complaints import complain

WORLD = "minigrid"
# The package's own numbers, which are part of its observation format; `test_minigrid` holds them to it.
OBJECTS = {"empty": 1, "wall": 2, "floor": 3, "door": 4, "key": 5, "ball": 6, "box": 7, "goal": 8, "lava": 9}
COLORS = {"red": 0, "green": 1, "blue": 2, "purple": 3, "yellow": 4, "grey": 5}
STATES = {"open": 0, "closed": 1, "locked": 2}
ACTIONS = {"left": 0, "right": 1, "forward": 2, "pickup": 3, "drop": 4, "toggle": 5, "done": 6}
EMPTY = (1, 0, 0)

Names = str | tuple[str, ...]


class _Binding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(n, str) for n in value)):
            return value
        raise ValueError("expected a name or a list of names")


class StandingOn(_Binding):
    """Holds where the agent stands on one of these objects."""

    standing_on: Names
    color: Names = ()


class Carries(_Binding):
    """Holds where the agent carries one of these objects."""

    carries: Names
    color: Names = ()


class Facing(_Binding):
    """Holds where one of these objects is right before the agent."""

    facing: Names
    color: Names = ()
    state: Names = ()


class Does(_Binding):
    """Holds where the action taken is one of these."""

    does: Names


KINDS: dict[str, type[BaseModel]] = {"standing_on": StandingOn, "carries": Carries, "facing": Facing, "does": Does}
_VALID = {
    "standing_on": ("object", OBJECTS),
    "carries": ("object", OBJECTS),
    "facing": ("object", OBJECTS),
    "does": ("action", ACTIONS),
    "color": ("color", COLORS),
    "state": ("state", STATES),
}


class Facts(NamedTuple):
    """What a step left behind; each of the first three is (object, color, state) in the package's numbers."""

    standing_on: tuple[int, int, int]
    facing: tuple[int, int, int]
    carries: tuple[int, int, int]
    does: int

    @classmethod
    def of(cls, env: Any, action: Any) -> Self:
        """The facts of a MiniGrid environment right after a step."""
        world = env.unwrapped
        return cls(
            _encoded(world.grid.get(*map(int, world.agent_pos))),
            _encoded(world.grid.get(*map(int, world.front_pos))),
            _encoded(world.carrying),
            int(action),
        )


class MiniGridFacts(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Adds `info["facts"]`; needed where MiniGrids run side by side in a vector environment."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make a step and say what it left behind."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        facts = {key: np.asarray(value, dtype=np.int64) for key, value in Facts.of(self.env, action)._asdict().items()}
        return observation, reward, terminated, truncated, {**info, "facts": facts}


class MiniGridLabeller:
    """Looks up facts in one small table a proposition."""

    def __init__(self, tables: list[tuple[str, NDArray[np.bool_]]], env: gym.Env[Any, Any]) -> None:
        self._tables = tables
        self._env = env

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        """The labels of the step just made, from `info["facts"]` or else from the environment as it stands."""
        facts = info["facts"] if "facts" in info else Facts.of(self._env, action)._asdict()
        bits = 0
        for bit, (fact, table) in enumerate(self._tables):
            bits |= int(table[tuple(facts[fact]) if fact != "does" else int(facts[fact])]) << bit
        return bits

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> NDArray[np.int64]:
        """(N,) the labels of a vector environment's step, from `infos["facts"]`."""
        if "facts" not in infos:
            raise GameError(
                f"labeller: the infos of {called(self._env)} have no 'facts'; wrap each MiniGrid in "
                "safetune.games.minigrid.MiniGridFacts before it goes into the vector environment"
            )
        bits = np.zeros(len(actions), dtype=np.int64)
        for bit, (fact, table) in enumerate(self._tables):
            value = infos["facts"][fact]
            bits |= table[value if fact == "does" else tuple(value.T)].astype(np.int64) << bit
        return bits


def labeller(guard: Safeguard, env: Any) -> MiniGridLabeller:
    """The labeller of a MiniGrid environment, from the spec's `[bind.minigrid]`."""
    wrong: list[str] = []
    tables = []
    for name, binding in read_bindings(guard, WORLD, KINDS).items():
        values = {key: _as_tuple(value) for key, value in binding.model_dump().items()}
        for key, names in values.items():
            what, valid = _VALID[key]
            path = f"bind.{WORLD}.{name}.{key}"
            wrong += [unknown_name(path, what, each, valid) for each in names if each not in valid]
        tables.append(values)
    complain(guard, wrong)
    return MiniGridLabeller([_table(values) for values in tables], env)


def _table(values: dict[str, tuple[str, ...]]) -> tuple[str, NDArray[np.bool_]]:
    """The fact that a binding reads, and for which of its values it holds."""
    kind = next(key for key in KINDS if key in values)
    if kind == "does":
        table = np.zeros(len(ACTIONS), dtype=np.bool_)
        table[[ACTIONS[name] for name in values["does"]]] = True
        return kind, table
    table = np.zeros((11, len(COLORS), 3), dtype=np.bool_)
    colors = [COLORS[name] for name in values["color"]] or list(COLORS.values())
    states = [STATES[name] for name in values.get("state", ())] or list(STATES.values())
    table[np.ix_([OBJECTS[name] for name in values[kind]], colors, states)] = True
    return kind, table


def _as_tuple(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _encoded(thing: Any) -> tuple[int, int, int]:
    return EMPTY if thing is None else tuple(thing.encode())
