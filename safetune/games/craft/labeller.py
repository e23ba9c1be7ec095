"""`[bind.craft]`: what in Craft makes a proposition hold at a step.

    [bind.craft]
    lava = { cell = "lava" }                      # the agent stands on it after the step; a list means any of them
    suit = { holds = "suit" }                     # carried after the step; `at_least = 2` for more than one
    creeper = { near = "creeper", within = 1 }    # a walking one no further away than so many rows and columns
    attack = { does = "attack" }                  # the action chosen

A name that Craft does not know is an error; a thing that the map at hand lacks is merely never met there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, field_validator

from safetune.errors import GameError
from safetune.games.bindings import read_bindings, unknown_name
from safetune.games.craft.names import ACTIONS, CELLS, CREATURES, FAR, ITEMS, MOST
from safetune.games.craft.world import World
from safetune.safeguard import Safeguard
from safetune.safeguard.complaints import complain


class _Binding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CellBinding(_Binding):
    """The agent stands on one of these."""

    cell: tuple[StrictStr, ...]

    @field_validator("cell", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class HoldsBinding(_Binding):
    """The agent carries this."""

    holds: StrictStr
    at_least: StrictInt = Field(default=1, ge=1, le=MOST)


class NearBinding(_Binding):
    """A walking creature is near."""

    near: StrictStr
    within: StrictInt = Field(default=1, ge=0, lt=FAR)


class DoesBinding(_Binding):
    """The agent chose this action."""

    does: StrictStr


KINDS: dict[str, type[BaseModel]] = {
    "cell": CellBinding,
    "holds": HoldsBinding,
    "near": NearBinding,
    "does": DoesBinding,
}


class CraftLabeller:
    """Labels of Craft's steps by table lookup, for one environment or a batch; see `games.labeller`."""

    def __init__(self, guard: Safeguard, env: Any) -> None:
        world = worlds_of(env)[0]
        bindings = read_bindings(guard, "craft", KINDS)
        complain(guard, _wrong_names(bindings, world))
        self._cells = np.zeros(2 ** len(CELLS), dtype=np.int64)
        self._distances = np.zeros((len(CREATURES), FAR + 1), dtype=np.int64)
        self._actions = np.zeros(len(ACTIONS) + 1, dtype=np.int64)  # the last for -1: no step was made
        self._items: list[tuple[int, int, int]] = []
        self._reach = -1
        for name, binding in bindings.items():
            self._add(guard.encode([name]), binding, world)
        self._tables = [
            (key, table)
            for key, table in zip(
                ("cell", *CREATURES, "action"), (self._cells, *self._distances, self._actions), strict=True
            )
            if table.any()
        ]
        self._lists = [(key, table.tolist()) for key, table in self._tables]

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        """The labels of one environment's step."""
        facts = info["facts"]
        bits = 0
        for key, table in self._lists:
            bits |= table[facts[key]]
        for item, count, bit in self._items:
            if facts["inventory"][item] >= count:
                bits |= bit
        return bits

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> NDArray[np.int64]:
        """(N,) the labels of a batch's step."""
        return self._bits(infos["facts"])

    def foresee(self, env: Any) -> NDArray[np.int64]:
        """(A,) or (N, A) the labels of each action if there is no slip and creatures come as near as they can."""
        return _of_each(env, self._foreseen)

    def certain(self, env: Any) -> NDArray[np.bool_]:
        """(A,) or (N, A) where `foresee` is sure to come true: no slip, no swimming, no creature that matters."""
        return _of_each(env, self._certain)

    def _foreseen(self, world: World) -> NDArray[np.int64]:
        facts, items = world.foresee()
        cell, action, creeper, cow = facts[1:]
        told = {"cell": cell, "action": action, "creeper": creeper, "cow": cow, "inventory": items}
        return self._bits(told).reshape(world.count, len(world.actions))

    def _certain(self, world: World) -> NDArray[np.bool_]:
        facts, _ = world.foresee()
        far = facts[3:].min(axis=0) > self._reach + 1
        return (far & ~world.unsteady().repeat(len(world.actions))).reshape(world.count, len(world.actions))

    def _bits(self, facts: dict[str, Any]) -> NDArray[np.int64]:
        bits: Any = 0
        for key, table in self._tables:
            bits = bits | table.take(facts[key])
        for item, count, bit in self._items:
            bits = bits | (facts["inventory"][:, item] >= count) * np.int64(bit)
        return bits

    def _add(self, bit: int, binding: BaseModel, world: World) -> None:
        match binding:
            case CellBinding(cell=names):
                wanted = sum(1 << CELLS.index(name) for name in set(names))
                self._cells[np.arange(len(self._cells)) & wanted != 0] |= bit
                if set(names) & {kind for kind, _ in world.layout.walkers}:
                    self._reach = max(self._reach, 0)
            case HoldsBinding(holds=item, at_least=count):
                self._items.append((ITEMS.index(item), count, bit))
            case NearBinding(near=creature, within=within):
                self._distances[CREATURES.index(creature), : within + 1] |= bit
                self._reach = max(self._reach, within)
            case DoesBinding(does=action):
                self._actions[ACTIONS.index(action)] |= bit


def labeller(guard: Safeguard, env: Any) -> CraftLabeller:
    """The labeller of a Craft environment, from the spec's `[bind.craft]`."""
    return CraftLabeller(guard, env)


def worlds_of(env: Any) -> list[World]:
    """The world of a Craft environment, or those of a vector environment's."""
    inner = env.unwrapped
    parts = [part.unwrapped for part in getattr(inner, "envs", [])] or [inner]
    worlds = [getattr(part, "craft", None) for part in parts]
    if not all(isinstance(world, World) for world in worlds):
        raise GameError(f"labeller: expected a Craft environment, got {type(parts[0]).__name__}")
    return worlds  # type: ignore[return-value]


def _of_each(env: Any, ask: Callable[[World], NDArray[Any]]) -> NDArray[Any]:
    """(A,) of a single environment, (N, A) of a vector environment."""
    answers = np.concatenate([ask(world) for world in worlds_of(env)])
    return answers if hasattr(env, "num_envs") else answers[0]


def _wrong_names(bindings: dict[str, BaseModel], world: World) -> list[str]:
    """A problem for each name that Craft does not know. A thing that this map lacks is none: it is not met here."""
    wrong = []
    for name, binding in bindings.items():
        path = f"bind.craft.{name}"
        match binding:
            case CellBinding(cell=cells):
                unknown = [cell for cell in cells if cell not in CELLS] if cells else [""]
                wrong += [unknown_name(f"{path}.cell", "cell", cell, CELLS) for cell in unknown]
            case HoldsBinding(holds=item) if item not in ITEMS:
                wrong.append(unknown_name(f"{path}.holds", "item", item, ITEMS))
            case NearBinding(near=creature) if creature not in CREATURES:
                wrong.append(unknown_name(f"{path}.near", "creature", creature, CREATURES))
            case NearBinding(near=creature) if world.layout.stands(creature):
                hint = f"the map '{world.layout.name}' has one that stands still; bind {{ cell = \"{creature}\" }}"
                wrong.append(f"{path}.near: only walking creatures have a distance, and {hint}")
            case DoesBinding(does=action) if action not in ACTIONS:
                wrong.append(unknown_name(f"{path}.does", "action", action, ACTIONS))
            case _:
                pass
    return wrong
