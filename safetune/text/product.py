"""The product of a byte automaton with a safeguard: one machine that reads text byte by byte.

In text a step is an event: a byte after which at least one proposition holds, or the end of the text. The labels of
a position are known at once where all 257 columns of the automaton's state agree; elsewhere they are *pending* until
the next byte, or the end, is read. So an edge of the product carries two verdicts: `late`, on what the bytes before
had completed, and `now`, on what this byte has completed. The end of the text settles what is pending (`late`) and
is then a step of its own (`now`), with the built-in proposition `end`.

Notation: S product states, A automaton states, Q guard states, K distinct byte columns, E distinct outcomes.
Tokens do not belong here; see `token_safeguard.py`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from safetune.errors import SpecError
from safetune.safeguard.machine import Safeguard
from safetune.safeguard.minimise import Ints, TooManyStates, equivalence_classes, explore, quotient
from safetune.text.automaton import END, ByteAutomaton, distinct_columns
from safetune.text.bindings import compile_bindings

STATE_LIMIT = 50_000

Floats = NDArray[np.float64]


class Outcomes(NamedTuple):
    """The distinct verdicts that edges carry, each array (E,); outcome 0 breaks nothing.

    `late` belongs to the text before the edge, `now` to the edge's own; counts are violating steps.
    """

    late_cost: Floats
    late_broken: Ints
    late_count: Ints
    now_cost: Floats
    now_broken: Ints
    now_count: Ints


@dataclass(frozen=True, eq=False)
class ByteSafeguard:
    """A safeguard over bytes: minimal, total, its states numbered breadth-first from `initial`.

    Two states are one only if every text has the same verdicts from both *and* they stand for the same guard state.
    """

    guard: Safeguard
    automaton: ByteAutomaton
    next_state: Ints
    """(S, 256)"""
    edge: Ints
    """(S, 256) into `outcomes`: what reading that byte settles"""
    end: Ints
    """(S,) into `outcomes`: what the end of the text settles"""
    outcomes: Outcomes
    spec_state: Ints
    """(S,) the guard's state, before anything pending is settled"""
    initial: int = 0

    @classmethod
    def compile(cls, guard: Safeguard, *, state_limit: int = STATE_LIMIT) -> "ByteSafeguard":
        """Compile the guard's text bindings and compose them with its machine."""
        return compose(guard, compile_bindings(guard), state_limit=state_limit)

    @property
    def n_states(self) -> int:
        return len(self.next_state)

    @cached_property
    def distance(self) -> Floats:
        """(S,) how many bytes, at the fewest, are still to be read before a violation is established.

        0: one is complete but pending, and the end of the text would confirm it. 1: the next byte, or the end as a
        step of its own, may break a rule. inf: no continuation breaks any.
        """
        late, now = self.outcomes.late_count > 0, self.outcomes.now_count > 0
        columns, _ = distinct_columns(self.next_state, self.edge)
        successors = self.next_state[:, columns]
        risky = (late | now)[self.edge].any(axis=1) | now[self.end]
        distance = np.where(late[self.end], 0.0, np.where(risky, 1.0, np.inf))
        while True:  # each round settles the states that are one byte further away
            nearer = np.minimum(distance, 1.0 + distance[successors].min(axis=1))
            if np.array_equal(nearer, distance):
                return _frozen(distance)
            distance = nearer


def compose(guard: Safeguard, automaton: ByteAutomaton, *, state_limit: int = STATE_LIMIT) -> ByteSafeguard:
    """Step the guard at the automaton's events; the result is minimised."""
    stepper = _Stepper(guard, automaton)
    try:
        _, next_state, verdict = explore(stepper.start, stepper.step, len(stepper.columns) + 2, state_limit)
    except TooManyStates:
        raise SpecError(
            f"spec '{guard.name}': its patterns ({automaton.n_states:,} states) and its rules "
            f"({guard.n_states:,} states) make a text machine of more than {state_limit:,} states. Use fewer or "
            "shorter patterns, put the rules in several specs, or, in Python, give "
            "ByteSafeguard.compile a larger state_limit."
        ) from None
    next_state, verdict, _ = quotient(next_state, verdict, equivalence_classes(next_state, verdict))
    used, verdict[:, :-1] = _renumber(verdict[:, :-1])
    columns = stepper.column_of_byte
    return ByteSafeguard(
        guard=guard,
        automaton=automaton,
        next_state=_frozen(next_state[:, columns].astype(np.int32)),
        edge=_frozen(verdict[:, columns].astype(np.int32)),
        end=_frozen(verdict[:, -2].astype(np.int32)),
        outcomes=stepper.outcomes(used),
        spec_state=_frozen(verdict[:, -1].astype(np.int32)),
    )


class _Stepper:
    """The product before it is minimised. A state's key is a·Q + q, and one more key stands for the start.

    The start needs a key of its own: nothing is pending there, since an event comes after a byte.
    """

    def __init__(self, guard: Safeguard, automaton: ByteAutomaton) -> None:
        pending = (automaton.labels != automaton.labels[:, :1]).any(axis=1)
        self.guard, self.initial_position = guard, automaton.initial
        self.start = automaton.n_states * guard.n_states
        late = np.where(pending[:, None], automaton.labels, 0)
        self.now = np.where(pending, 0, automaton.labels[:, 0])  # (A,)
        columns, self.column_of_byte = distinct_columns(automaton.next_state, late[:, :END])
        self.columns = columns
        self.late = late[:, [*columns.tolist(), END]]  # (A, K+1)
        self.next_position = automaton.next_state[:, columns].astype(np.int64)  # (A, K)
        self.end_label = guard.encode(["end"]) if "end" in guard.propositions else 0
        # A verdict is a set of broken rules, numbered so that 0 breaks none; the cost follows from the set.
        broken, first, number = np.unique(
            np.concatenate([[0], guard.broken.ravel()]), return_index=True, return_inverse=True
        )
        self.broken, self.cost = broken, np.concatenate([[0.0], guard.cost.ravel()])[first]
        self.verdict = number.reshape(-1)[1:].reshape(guard.broken.shape)  # (Q, L)

    def split(self, keys: Ints) -> tuple[Ints, Ints]:
        """Keys (N,) to automaton states (N,) and guard states (N,)."""
        position, state = np.divmod(keys, self.guard.n_states)
        at_start = keys == self.start
        return np.where(at_start, self.initial_position, position), np.where(at_start, self.guard.initial, state)

    def step(self, keys: Ints) -> tuple[Ints, Ints]:
        """Keys (N,) to what follows them and how, each (N, K+2). An outcome is late · V + now, for V verdicts.

        In two more columns the product stays where it is: one for the outcome of the text's end, one for the guard's
        state. So states that differ in these are kept apart when the product is minimised.
        """
        position, state = self.split(keys)
        pending = np.where((keys == self.start)[:, None], 0, self.late[position])
        settled, late = self._guard_step(np.broadcast_to(state[:, None], pending.shape), pending)
        outcome = late * len(self.broken)
        # The end is a step even where nothing is labelled; a byte is one only where something is.
        outcome[:, -1] += self.verdict[settled[:, -1], self.end_label]
        position = self.next_position[position]
        following, now = self._guard_step(settled[:, :-1], self.now[position])
        outcome[:, :-1] += now
        following += position * self.guard.n_states
        return np.column_stack([following, keys, keys]), np.column_stack([outcome, state])

    def outcomes(self, used: Ints) -> Outcomes:
        late, now = np.divmod(used, len(self.broken))
        arrays = [array for verdict in (late, now) for array in (self.cost[verdict], self.broken[verdict])]
        late_cost, late_broken, now_cost, now_broken = map(_frozen, arrays)
        counts = [_frozen((broken != 0).astype(np.int64)) for broken in (late_broken, now_broken)]
        return Outcomes(late_cost, late_broken, counts[0], now_cost, now_broken, counts[1])

    def _guard_step(self, state: Ints, labels: Ints) -> tuple[Ints, Ints]:
        """The guard's next states and verdicts; without labels there is no event and the guard stays."""
        event = labels != 0
        following = np.where(event, self.guard.next_state[state, labels], state)
        return following.astype(np.int64), np.where(event, self.verdict[state, labels], 0)


def _renumber(values: Ints) -> tuple[Ints, Ints]:
    """The distinct values, 0 first and always there, and the place of each value among them."""
    used = np.union1d([0], values)
    return used, np.searchsorted(used, values)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
