"""What a drawing of a safeguard shows, whatever it is drawn with: states, merged edges, and a trace along them.

From one state to another there are at most two edges: one for all label sets that break nothing, and one for those
that break a rule, which says for each rule when it is broken. `drawing` and `picture` put this on paper.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from safetune.errors import DataError
from safetune.safeguard.boolean import simplify
from safetune.safeguard.machine import Safeguard
from safetune.safeguard.minimise import Ints

Labels = int | Iterable[str]

ELSEWHERE = -1
"""Stands for all the states that a limited drawing leaves out."""
MAX_STATES = 24


class Verdict(NamedTuple):
    """When an edge is taken and what that breaks: one for a safe edge, one for each rule that an unsafe edge breaks."""

    guard: str
    rule: str | None
    cost: float

    @property
    def when(self) -> str:
        """The guard, in words where it says nothing."""
        return "anything" if self.guard == "true" else self.guard


class Edge(NamedTuple):
    """All label sets that lead from one state to another, either safely or not."""

    source: int
    target: int
    verdicts: tuple[Verdict, ...]
    steps: tuple[int, ...]
    """The steps of the trace, from 1, that take this edge."""

    @property
    def unsafe(self) -> bool:
        return self.verdicts[0].rule is not None


class Diagram(NamedTuple):
    """A safeguard as it will be drawn."""

    guard: Safeguard
    states: tuple[int, ...]
    edges: tuple[Edge, ...]
    visited: frozenset[int]
    hidden: int

    @property
    def note(self) -> str | None:
        """What the drawing leaves out, in words."""
        total = self.guard.n_states
        return f"{len(self.states)} of {total} states shown; {self.hidden} left out" if self.hidden else None


def diagram(guard: Safeguard, trace: Sequence[Labels] | None = None, *, max_states: int = MAX_STATES) -> Diagram:
    """The states (at most `max_states`: those of the trace first, then the nearest to the start) and their edges."""
    if max_states < 1:
        raise DataError(f"max_states: expected at least 1, got {max_states}")
    columns = encode_trace(guard, trace or ())
    visited = guard.run(np.array(columns, dtype=np.int64)).states.tolist() if trace is not None else []
    wanted = dict.fromkeys([guard.initial, *visited, *range(guard.n_states)])
    states = tuple(sorted(list(wanted)[:max_states]))
    taken: dict[tuple[int, int], list[int]] = {}
    for step, (state, labels) in enumerate(zip(visited, columns, strict=False), 1):
        taken.setdefault((state, labels), []).append(step)
    edges = [edge for state in states for edge in _edges(guard, state, states, taken)]
    return Diagram(guard, states, tuple(edges), frozenset(visited), guard.n_states - len(states))


def encode_trace(guard: Safeguard, trace: Iterable[Labels]) -> list[int]:
    """A trace as label sets; each step is bits or names."""
    return [labels if isinstance(labels, int) else guard.encode(labels) for labels in trace]


def state_note(guard: Safeguard, state: int) -> str:
    """How near a state is to a violation, in words."""
    distance = guard.distance[state]
    if np.isinf(distance):
        return "safe for good"
    return "a violation may be next" if distance == 1 else f"{distance:.0f} steps from a violation"


def _edges(
    guard: Safeguard, state: int, shown: Sequence[int], taken: dict[tuple[int, int], list[int]]
) -> Iterable[Edge]:
    targets = np.where(np.isin(guard.next_state[state], shown), guard.next_state[state], ELSEWHERE)
    broken = guard.broken[state]
    for target in np.unique(targets).tolist():
        for unsafe in (False, True):
            here = (targets == target) & ((broken != 0) == unsafe)
            if here.any():
                steps = [step for labels in np.flatnonzero(here).tolist() for step in taken.get((state, labels), ())]
                yield Edge(state, target, _verdicts(guard, here, broken), tuple(sorted(steps)))


def _verdicts(guard: Safeguard, here: np.ndarray, broken: Ints) -> tuple[Verdict, ...]:
    by_rule = [(rule, here & (broken >> bit & 1 == 1)) for bit, rule in enumerate(guard.rules)]
    told = tuple(
        Verdict(simplify(chosen, guard.propositions), rule.name, rule.cost) for rule, chosen in by_rule if chosen.any()
    )
    return told or (Verdict(simplify(here, guard.propositions), None, 0.0),)
