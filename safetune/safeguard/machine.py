"""The safeguard: a compiled spec, an immutable, total, deterministic machine with a verdict on each edge.

Notation: S states, P propositions, L = 2**P sets of labels, T steps, B streams side by side. A set of labels is one
integer, bit i for proposition i. A stream's position is one state, an integer: N streams are N integers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safetune.errors import DataError, choices, nearest
from safetune.safeguard.compile import STATE_LIMIT, compile_spec
from safetune.safeguard.guards import label_names
from safetune.safeguard.spec import Spec

SHORT_NAME = 60
"""Characters of a state's name beyond which a number says more: names made from formulas can fill a screen."""


class Rule(NamedTuple):
    """A rule of a safeguard; for a machine, one of its unsafe states."""

    name: str
    cost: float
    formula: str
    """What must hold at every step; for a machine, which state must not be entered, in words."""


class Step(NamedTuple):
    """What one step led to."""

    state: int
    cost: float
    broken: tuple[str, ...]
    """Names of the rules broken at this step."""


class Trace(NamedTuple):
    """What a safeguard says of whole streams."""

    states: NDArray[np.int32]
    """(…, T+1) the state before the first step and after each."""
    cost: NDArray[np.float64]
    """(…, T)"""
    broken: NDArray[np.int64]
    """(…, T) bit i where rule i is broken"""


@dataclass(frozen=True, eq=False, repr=False)
class Safeguard:
    """A compiled spec. Minimal; states are numbered breadth-first from the initial one."""

    name: str
    propositions: tuple[str, ...]
    """In declared order; the built-in `end` last, where a formula speaks of it."""
    rules: tuple[Rule, ...]
    initial: int
    next_state: NDArray[np.int32]
    """(S, L)"""
    cost: NDArray[np.float64]
    """(S, L) the costs of the rules broken on that edge, added up"""
    broken: NDArray[np.int64]
    """(S, L) bit i where rule i is broken on that edge"""
    state_names: tuple[str, ...]
    spec: Spec

    def __post_init__(self) -> None:
        for table in (self.next_state, self.cost, self.broken):
            table.setflags(write=False)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # a pickle forgets that arrays are read-only

    def __repr__(self) -> str:
        return f"<Safeguard {self.name!r}: {self.propositions}, {len(self.rules)} rules, {self.n_states} states>"

    @classmethod
    def load(cls, path: str | Path, *, state_limit: int = STATE_LIMIT) -> "Safeguard":
        """Read, check and compile a spec file."""
        return cls.from_spec(Spec.load(path), state_limit=state_limit)

    @classmethod
    def from_spec(cls, spec: Spec, *, state_limit: int = STATE_LIMIT) -> "Safeguard":
        """Compile a spec; a machine of more than `state_limit` states is an error that names the rules to blame."""
        tables = compile_spec(spec, state_limit)
        rules = _rules(spec)
        cost = np.zeros(tables.broken.shape)
        for row, broken in zip(cost, tables.broken, strict=True):  # row by row, for the sake of very large tables
            row += (broken[:, None] >> np.arange(len(rules)) & 1) @ np.array([rule.cost for rule in rules])
        next_state = tables.next_state.astype(np.int32)
        return cls(spec.name, spec.alphabet, rules, 0, next_state, cost, tables.broken.copy(), tables.state_names, spec)

    @property
    def n_states(self) -> int:
        """S"""
        return len(self.next_state)

    @property
    def n_labels(self) -> int:
        """L, the number of label sets"""
        return self.next_state.shape[1]

    def encode(self, names: Iterable[str]) -> int:
        """The label set of these propositions, as an integer."""
        if isinstance(names, str):
            raise DataError(f"labels: expected a set of names, such as {{'{names}'}}, got the string '{names}'")
        bits = 0
        for name in names:
            if name not in self.propositions:
                valid = choices(self.propositions) + "." + nearest(str(name), self.propositions)
                raise DataError(f"labels: unknown proposition '{name}'. Valid names: {valid}")
            bits |= 1 << self.propositions.index(name)
        return bits

    def decode(self, labels: int) -> tuple[str, ...]:
        """The names in a label set."""
        return label_names(self._checked_labels(labels), self.propositions)

    def short_name(self, state: int, limit: int = SHORT_NAME) -> str:
        """The state's name, or `s` and its number where the name is longer than `limit`."""
        name = self.state_names[self._checked_state(state)]
        return name if len(name) <= limit else f"s{state}"

    def rule_names(self, broken: int) -> tuple[str, ...]:
        """The names of the rules in a verdict's bits."""
        return tuple(rule.name for bit, rule in enumerate(self.rules) if int(broken) >> bit & 1)

    def step(self, state: int, labels: int | Iterable[str]) -> Step:
        """One step of one stream; `labels` are bits or names."""
        column = self.encode(labels) if isinstance(labels, Iterable) else self._checked_labels(labels)
        row = self._checked_state(state)
        broken = self.rule_names(self.broken[row, column])
        return Step(int(self.next_state[row, column]), float(self.cost[row, column]), broken)

    def run(self, labels: ArrayLike, state: int | ArrayLike | None = None) -> Trace:
        """Whole streams: labels (T,) or (B, T), from `state`, one or (B,); from the initial state if not given."""
        columns = _whole_numbers("labels", labels, self.n_labels)
        if columns.ndim not in (1, 2):
            raise DataError(f"labels: expected shape (T,) or (B, T), got {columns.shape}")
        starts = _whole_numbers("state", self.initial if state is None else state, self.n_states)
        if starts.shape not in ((), columns.shape[:-1]):
            raise DataError(f"state: expected one state or shape {columns.shape[:-1]}, got {starts.shape}")
        states = np.empty((*columns.shape[:-1], columns.shape[-1] + 1), dtype=np.int32)
        states[..., 0] = starts
        for step in range(columns.shape[-1]):
            states[..., step + 1] = self.next_state[states[..., step], columns[..., step]]
        before = states[..., :-1]
        return Trace(states, self.cost[before, columns], self.broken[before, columns])

    def danger(self, state: int) -> NDArray[np.bool_]:
        """(P,) whether each proposition, holding alone at the next step, would break a rule."""
        return self.broken[self._checked_state(state), 1 << np.arange(len(self.propositions))] != 0

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """(S,) the fewest steps to a violation, that step included: 1 where the next may be one, inf where none can."""
        distance = np.where((self.broken != 0).any(axis=1), 1.0, np.inf)
        edge = np.zeros((self.n_states, self.n_states), dtype=np.bool_)
        edge[np.arange(self.n_states)[:, None], self.next_state] = True
        source, target = np.nonzero(edge)
        for steps in range(2, self.n_states + 1):
            nearer = source[(distance[target] == steps - 1) & np.isinf(distance[source])]
            if not len(nearer):
                break
            distance[nearer] = steps
        distance.setflags(write=False)
        return distance

    def _checked_labels(self, labels: int) -> int:
        return _one_number("labels", labels, self.n_labels)

    def _checked_state(self, state: int) -> int:
        return _one_number("state", state, self.n_states)


def _rules(spec: Spec) -> tuple[Rule, ...]:
    if spec.machine is not None:
        return tuple(Rule(name, float(u.cost), f"never enter '{name}'") for name, u in spec.machine.unsafe.items())
    return tuple(Rule(rule.name, float(rule.cost), rule.always) for rule in spec.rule)


def _one_number(what: str, value: int, size: int) -> int:
    try:
        number = index(value)
    except TypeError:
        raise DataError(f"{what}: expected a whole number, got {value!r}") from None
    if not 0 <= number < size:
        raise DataError(f"{what}: expected 0 to {size - 1}, got {number}")
    return number


def _whole_numbers(what: str, values: ArrayLike, size: int) -> NDArray[np.integer]:
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{what}: {error}") from None
    if array.size == 0:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{what}: expected whole numbers, got {array.dtype}")
    if array.min() < 0 or array.max() >= size:
        raise DataError(f"{what}: expected 0 to {size - 1}, got {array.min()} to {array.max()}")
    return array
