"""From a spec to the tables of a minimal machine.

A rule becomes a machine over its own propositions: a state is what its temporal operators remember of the steps
before, so the reachable states are explored from the first and then minimised. The rules' machines are joined one by
one. Since a verdict names the rules that are broken, the reachable product of minimal machines is minimal already.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from safetune.errors import SpecError
from safetune.safeguard.formula import Formula, propositions_of
from safetune.safeguard.guards import label_names, truth_table
from safetune.safeguard.memory import Memory, MemoryTooLarge
from safetune.safeguard.minimise import Ints, TooManyStates, breadth_first, equivalence_classes, explore, quotient
from safetune.safeguard.parser import parse

if TYPE_CHECKING:
    from safetune.safeguard.spec import MachineSpec, Spec

STATE_LIMIT = 4096
# A rule alone may pass through more states than it keeps after minimisation, up to this factor.
_SLACK = 4
START = "start"


class Tables(NamedTuple):
    """A machine that starts in state 0."""

    next_state: Ints
    """(S, L)"""
    broken: Ints
    """(S, L) a bit per rule"""
    state_names: tuple[str, ...]


def compile_spec(spec: "Spec", state_limit: int = STATE_LIMIT) -> Tables:
    """The minimal machine of a spec that has been checked."""
    propositions = spec.alphabet
    if spec.machine is not None:
        tables = machine_tables(spec.machine, propositions, spec.source)
        if len(tables.next_state) > state_limit:
            raise SpecError(f"{spec.source}: machine: {len(tables.next_state)} states, more than {state_limit}")
        reached = breadth_first(tables.next_state)
        names = tuple(tables.state_names[state] for state in reached)
        number = np.zeros(len(tables.next_state), dtype=np.int32)
        number[reached] = np.arange(len(reached), dtype=np.int32)
        return _minimal(Tables(number[tables.next_state[reached]], tables.broken[reached], names), " or ".join)
    parts = [_Part.of(rule.name, parse(rule.always), spec.source, state_limit) for rule in spec.rule]
    return _product(parts, propositions, spec.source, state_limit)


def machine_tables(machine: "MachineSpec", propositions: tuple[str, ...], source: str = "<string>") -> Tables:
    """A `[machine]` as it is written: every state, reachable or not, in the order of `machine.state_names`.

    Bit i of `broken` is the i-th state of `machine.unsafe`.
    """
    names = machine.state_names
    stays = np.arange(len(names), dtype=np.int32)
    next_state = np.repeat(stays[:, None], 2 ** len(propositions), axis=1)
    owner = np.full(next_state.shape, -1)
    for index, step in enumerate(machine.transition):
        state, target = names.index(step.start), names.index(step.to)
        matches = truth_table(parse(step.when), propositions)
        # Two guards that lead to the same state may both match: there is nothing to choose between.
        clash = matches & (owner[state] >= 0) & (next_state[state] != target)
        if clash.any():
            labels = int(np.flatnonzero(clash)[0])
            raise _overlap(machine, int(owner[state, labels]), index, label_names(labels, propositions), source)
        next_state[state, matches], owner[state, matches] = target, index
    bit = np.zeros(len(names), dtype=np.int64)
    for index, name in enumerate(machine.unsafe):
        bit[names.index(name)] = 1 << index
    broken = bit[next_state]
    if machine.absorbing:
        broken[bit > 0] = 0  # no transition leads out of these states: `checks` saw to that
    return Tables(next_state, broken, names)


def _overlap(machine: "MachineSpec", first: int, second: int, labels: tuple[str, ...], source: str) -> SpecError:
    one, two = machine.transition[first], machine.transition[second]
    where = f"{{{', '.join(labels)}}} hold" if labels else "no proposition holds"
    return SpecError(
        f"{source}: machine.transition[{second}].when: the guard '{two.when}' (to '{two.to}') overlaps with "
        f"'{one.when}' (to '{one.to}'), transition[{first}]: from '{one.start}', both match when {where}; "
        "make guards of one state exclude each other"
    )


def _minimal(tables: Tables, join: Callable[[list[str]], str]) -> Tables:
    classes = equivalence_classes(tables.next_state, tables.broken)
    next_state, broken, members = quotient(tables.next_state, tables.broken, classes)
    names = (join([tables.state_names[old] for old in group]) for group in members)
    return Tables(next_state, broken, _unique(names))


@dataclass(frozen=True, eq=False)
class _Part:
    """One rule's machine, over the letters of its formula."""

    rule: str
    memory: Memory
    tables: Tables

    @classmethod
    def of(cls, rule: str, formula: Formula, source: str, state_limit: int) -> "_Part":
        where = f"{source}: rule '{rule}'"
        try:
            memory = Memory(formula, propositions_of(formula))
            keys, next_state, kept = explore(memory.start, memory.step, memory.n_letters, _SLACK * state_limit)
        except MemoryTooLarge as error:
            raise SpecError(f"{where}: {error}") from None
        except TooManyStates:
            raise SpecError(f"{where}: more than {_SLACK * state_limit} states by itself; {_ADVICE}") from None
        next_state, broken, members = quotient(next_state, ~kept, equivalence_classes(next_state, kept))
        names = _unique(memory.describe(keys[group]) or START for group in members)
        if len(next_state) > state_limit:
            raise SpecError(f"{where}: {len(next_state)} states by itself, more than {state_limit}; {_ADVICE}")
        return cls(rule, memory, Tables(next_state, broken.astype(np.int64), names))

    def over(self, propositions: tuple[str, ...]) -> tuple[Ints, Ints]:
        """next_state and broken (S, L) over the label sets of all propositions."""
        labels = np.arange(2 ** len(propositions))
        own = np.zeros_like(labels)
        for index, name in enumerate(self.memory.propositions):
            own |= (labels >> propositions.index(name) & 1) << index
        letters = self.memory.letter_of[own]
        return self.tables.next_state[:, letters], self.tables.broken[:, letters]


_ADVICE = "shorten its 'once[k]', simplify it, or, in Python, give Safeguard.load a larger state_limit"


def _product(parts: list[_Part], propositions: tuple[str, ...], source: str, state_limit: int) -> Tables:
    next_state, broken = parts[0].over(propositions)
    names = parts[0].tables.state_names
    for index, part in enumerate(parts[1:], 1):
        part_next, part_broken = part.over(propositions)
        step = _side_by_side(next_state, broken, part_next, part_broken << index)
        try:
            keys, next_state, broken = explore(0, step, 2 ** len(propositions), state_limit)
        except TooManyStates:
            raise _too_large(parts, index, source, state_limit) from None
        left, right = np.divmod(keys, len(part_next))
        names = _unique(_both(names[a], part.tables.state_names[b]) for a, b in zip(left, right, strict=True))
    order = breadth_first(next_state)
    number = np.argsort(order).astype(np.int32)
    return Tables(number[next_state[order]], broken[order], tuple(names[state] for state in order))


def _side_by_side(next_a: Ints, broken_a: Ints, next_b: Ints, broken_b: Ints) -> Callable[[Ints], tuple[Ints, Ints]]:
    """The step of two machines at once; a pair of states (a, b) has the key a * S_b + b."""

    def step(keys: Ints) -> tuple[Ints, Ints]:
        a, b = np.divmod(keys, len(next_b))
        return next_a[a].astype(np.int64) * len(next_b) + next_b[b], broken_a[a] | broken_b[b]

    return step


def _too_large(parts: list[_Part], index: int, source: str, state_limit: int) -> SpecError:
    sizes = sorted(((len(part.tables.next_state), part.rule) for part in parts[: index + 1]), reverse=True)
    largest = ", ".join(f"'{rule}' {size}" for size, rule in sizes if size > 1)
    return SpecError(
        f"{source}: rule: more than {state_limit} states together, with '{parts[index].rule}' added to the rules "
        f"before it. States of each rule alone: {largest}; {_ADVICE}"
    )


def _both(left: str, right: str) -> str:
    told = dict.fromkeys(part for name in (left, right) for part in name.split("; ") if part != START)
    return "; ".join(told) or START


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names, with ` (2)` and so on after one that was there before."""
    taken: set[str] = set()
    result = []
    for name in names:
        numbered = (f"{name} ({index})" for index in count(2))
        free = name if name not in taken else next(other for other in numbered if other not in taken)
        taken.add(free)
        result.append(free)
    return tuple(result)
