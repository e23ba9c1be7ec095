"""`[bind.doom]`: which facts of a step make a proposition hold.

[bind.doom]
hazard = { inside = "lava" }                      # a region of the scenario, or a list: any of them
protection = { variable = "ARMOR", above = 0 }    # above, below, equals a number; or rises = true, falls = true
fire = { action = "attack" }                      # a button, whatever else the action holds down
target = { aims_at = "enemy" }                    # in the crosshair when the action was chosen
missed = { fact = "shot_missed" }                 # one of the scenario's own facts
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, model_validator

from safetune.errors import GameError
from safetune.games.bindings import read_bindings, unknown_name
from safetune.games.doom.scenario import Number, Scenario
from safetune.safeguard import Safeguard
from safetune.safeguard.complaints import complain

ENEMY = "enemy"


class _Binding(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """The first name that the scenario lacks, as (key, what it is, name, valid names)."""

    @abstractmethod
    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """Whether it holds, a bool; (N,) bools where the facts are arrays."""


class Inside(_Binding):
    """In one of these regions after the step."""

    inside: StrictStr | tuple[StrictStr, ...]

    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """An unknown region."""
        return _first("inside", "region", _names(self.inside), scenario.regions)

    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """Any of the regions."""
        return _any(facts["inside"][name] for name in _names(self.inside))


class Variable(_Binding):
    """A game variable after the step, or how it changed by the step."""

    variable: StrictStr
    above: Number | None = Field(default=None, strict=True)
    below: Number | None = Field(default=None, strict=True)
    equals: Number | None = Field(default=None, strict=True)
    rises: StrictBool | None = None
    falls: StrictBool | None = None

    @model_validator(mode="after")
    def _one_comparison(self) -> "Variable":
        given = self.model_dump(exclude_none=True)
        if len(given) != 2 or False in (self.rises, self.falls):
            raise ValueError("expected 'variable' and one of above, below, equals (a number), rises or falls (true)")
        return self

    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """A variable that the environment does not read."""
        return _first("variable", "variable", (self.variable,), readable)

    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """The comparison."""
        value, change = facts["variables"][self.variable], facts["changes"][self.variable]
        if self.above is not None:
            return value > self.above
        if self.below is not None:
            return value < self.below
        if self.equals is not None:
            return value == self.equals
        return change > 0 if self.rises else change < 0


class Action(_Binding):
    """The action taken holds this button down."""

    action: StrictStr

    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """A button that no action holds down."""
        return _first("action", "button", (self.action,), tuple(button.lower() for button in scenario.buttons))

    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """A look-up of the action; -1, no action, never holds."""
        table = np.array([self.action.upper() in action for action in scenario.actions] + [False])
        return table[facts["action"]]


class AimsAt(_Binding):
    """An object of these classes covers the centre of the screen when the action is chosen."""

    aims_at: StrictStr | tuple[StrictStr, ...]

    def classes(self, scenario: Scenario) -> tuple[str, ...]:
        """The classes meant; `enemy` is all of the scenario's."""
        names = _names(self.aims_at)
        return tuple(name for key in names for name in (scenario.enemies if key == ENEMY else (key,)))

    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """A class that the scenario does not look for."""
        valid = (ENEMY, *scenario.enemies) if scenario.labels else ()
        return _first("aims_at", "object", _names(self.aims_at), valid)

    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """Any of the classes."""
        return _any(facts["aims_at"][name] for name in self.classes(scenario))


class FactBinding(_Binding):
    """One of the scenario's own facts."""

    fact: StrictStr

    def problem(self, scenario: Scenario, readable: Sequence[str]) -> tuple[str, str, str, Sequence[str]] | None:
        """An unknown fact."""
        return _first("fact", "fact", (self.fact,), tuple(scenario.fact))

    def holds(self, facts: dict[str, Any], scenario: Scenario) -> Any:
        """The fact."""
        return facts["events"][self.fact]


KINDS: dict[str, type[BaseModel]] = {
    "inside": Inside,
    "variable": Variable,
    "action": Action,
    "aims_at": AimsAt,
    "fact": FactBinding,
}


class DoomLabeller:
    """Labels of steps, from `info["facts"]`; bits in the order of the safeguard's propositions."""

    def __init__(self, scenario: Scenario, bindings: Sequence[_Binding]) -> None:
        self.scenario = scenario
        self.bindings = tuple(bindings)

    def labels(self, observation: Any, action: Any, info: dict[str, Any]) -> int:
        """The labels of the step just made."""
        return sum(int(bool(b.holds(self._facts(info), self.scenario))) << bit for bit, b in enumerate(self.bindings))

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any]) -> NDArray[np.int64]:
        """(N,) from the infos of a Gymnasium vector environment."""
        facts = self._facts(infos)
        bits = np.zeros(len(facts["action"]), dtype=np.int64)
        for bit, binding in enumerate(self.bindings):
            bits |= np.asarray(binding.holds(facts, self.scenario)).astype(np.int64) << bit
        return bits

    @staticmethod
    def _facts(info: dict[str, Any]) -> dict[str, Any]:
        if "facts" not in info:
            raise GameError("doom: this step's info has no 'facts'; labels need the info of DoomEnv as it came")
        facts: dict[str, Any] = info["facts"]
        return facts


class ForeseeingDoomLabeller(DoomLabeller):
    """For specs whose rules turn on what is pressed and aimed at: both are known before the step.

    What the step will bring, the scenario's facts, is foreseen not to happen; rules about its past are exact.
    """

    def foresee(self, env: Any) -> NDArray[np.int64]:
        """(A,) the labels each action would bring now; (N, A) for environments side by side in this process."""
        if envs := getattr(env.unwrapped, "envs", None):
            return np.stack([self.foresee(one) for one in envs])
        return np.array([self.labels(None, action, info) for action, info in self._imagined(env)], dtype=np.int64)

    def certain(self, env: Any) -> NDArray[np.bool_]:
        """Bools of the same shape: whether the labels are sure to come, where no fact of the step itself counts."""
        sure = not any(isinstance(binding, FactBinding) for binding in self.bindings)
        envs = getattr(env.unwrapped, "envs", None)
        return np.full((*([len(envs)] if envs else []), len(self.scenario.actions)), sure)

    def _imagined(self, env: Any) -> list[tuple[int, dict[str, Any]]]:
        nothing = dict.fromkeys(self.scenario.fact, False)
        aims = env.unwrapped.aims()
        return [
            (action, {"facts": {"action": action, "aims_at": aims, "events": nothing}})
            for action in range(len(self.scenario.actions))
        ]


def labeller(guard: Safeguard, env: Any) -> DoomLabeller:
    """The labeller of `[bind.doom]`, checked against the environment's scenario."""
    inner = _inner(env)
    scenario, readable = inner.scenario, inner.game.names
    bindings: list[_Binding] = []
    wrong: list[str] = []
    for name, binding in read_bindings(guard, "doom", KINDS).items():
        assert isinstance(binding, _Binding)
        if found := binding.problem(scenario, readable):
            key, what, got, valid = found
            wrong.append(unknown_name(f"bind.doom.{name}.{key}", what, got, valid))
        bindings.append(binding)
    complain(guard, wrong)
    foreseeable = all(isinstance(binding, Action | AimsAt | FactBinding) for binding in bindings)
    return (ForeseeingDoomLabeller if foreseeable else DoomLabeller)(scenario, bindings)


def _inner(env: Any) -> Any:
    """The DoomEnv itself, the first one of a vector environment."""
    inner = env.unwrapped
    while not hasattr(inner, "scenario") and getattr(inner, "envs", None):
        inner = inner.envs[0].unwrapped
    if not hasattr(inner, "scenario"):
        raise GameError(f"doom: expected an environment made of DoomEnv, got {type(env.unwrapped).__name__}")
    return inner


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _first(
    key: str, what: str, names: Sequence[str], valid: Sequence[str]
) -> tuple[str, str, str, Sequence[str]] | None:
    return next(((key, what, name, valid) for name in names if name not in valid), None)


def _any(parts: Any) -> Any:
    """Or over bools or arrays of them."""
    result: Any = False
    for part in parts:
        result = part | result
    return result
