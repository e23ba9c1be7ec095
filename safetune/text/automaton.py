"""Deterministic automata over the bytes of a text, and the two operations every part of `text` needs.

S states, 256 byte columns. Position i of a text is the place before its byte i; the last position is its end.
What a pattern means stands elsewhere: here are only tables.
"""

from dataclasses import dataclass

import numpy as np

from safetune.errors import BindingError
from safetune.safeguard.minimise import Ints, TooManyStates, breadth_first, equivalence_classes, explore

END = 256
"""The column of `labels` that is read where the text ends."""


@dataclass(frozen=True, eq=False)
class ByteAutomaton:
    """A total automaton whose labels hold at a position, given the byte that follows it.

    That one byte of lookahead is what `\\b` and its like need: the match is complete at the position, but only the
    byte after it, or the end of the text, tells whether it counts.
    """

    initial: int
    next_state: Ints  # (S, 256)
    labels: Ints  # (S, 257) label bits if the next byte is b (column b), or if the text ends here (column END)

    def __post_init__(self) -> None:
        for name in ("next_state", "labels"):
            table = np.ascontiguousarray(getattr(self, name), dtype=np.int32)
            table.setflags(write=False)
            object.__setattr__(self, name, table)

    @property
    def n_states(self) -> int:
        """How many states there are."""
        return len(self.next_state)

    def states(self, data: bytes) -> Ints:
        """The states at all positions of `data`, (len(data) + 1,)."""
        path = np.empty(len(data) + 1, dtype=np.int32)
        path[0] = state = self.initial
        for i, byte in enumerate(data):
            path[i + 1] = state = self.next_state[state, byte]
        return path

    def read(self, data: bytes) -> Ints:
        """The label bits at all positions of `data`, (len(data) + 1,). For tests and small texts."""
        following = np.append(np.frombuffer(data, dtype=np.uint8).astype(np.int32), END)
        return self.labels[self.states(data), following]


def minimise(automaton: ByteAutomaton) -> ByteAutomaton:
    """The smallest automaton with the same labels on every text, its states numbered breadth-first in byte order.

    That numbering is canonical: two automata that label all texts alike become equal arrays.
    """
    columns, column_of = distinct_columns(automaton.next_state)
    order, table = smallest(automaton.next_state[:, columns], row_kinds(automaton.labels), automaton.initial)
    return ByteAutomaton(0, table[:, column_of], automaton.labels[order])


def product(a: ByteAutomaton, b: ByteAutomaton, state_limit: int | None = None) -> ByteAutomaton:
    """Both automata read the same text; their labels are united. Only reachable pairs are built."""
    columns, column_of = distinct_columns(a.next_state, b.next_state)
    a_next, b_next = a.next_state[:, columns].astype(np.int64), b.next_state[:, columns].astype(np.int64)
    width = b.n_states
    limit = a.n_states * width if state_limit is None else state_limit

    def step(pairs: Ints) -> tuple[Ints, Ints]:
        return a_next[pairs // width] * width + b_next[pairs % width], np.empty((len(pairs), 0))

    try:
        pairs, table, _ = explore(a.initial * width + b.initial, step, len(columns), limit)
    except TooManyStates:
        raise BindingError(
            f"the product of automata of {a.n_states:,} and {width:,} states has more than {limit:,} states"
        ) from None
    return ByteAutomaton(0, table[:, column_of], a.labels[pairs // width] | b.labels[pairs % width])


def smallest(table: Ints, seed: Ints, initial: int) -> tuple[Ints, Ints]:
    """Merge the states of `table` (S, K) that no word tells apart, where states of different `seed` (S,) differ.

    Returns one old state for each new one, (N,), and the new table (N, K), numbered breadth-first from `initial`.
    """
    classes = equivalence_classes(table, np.broadcast_to(seed[:, None], table.shape))
    _, representatives = np.unique(classes, return_index=True)
    merged = classes[table[representatives]]
    order = breadth_first(merged, int(classes[initial]))
    number = np.empty(len(merged), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return representatives[order], number[merged[order]]


def distinct_columns(*tables: Ints) -> tuple[Ints, Ints]:
    """Columns that agree in every table (S, W): the first of each kind, (K,), and the kind of each column, (W,)."""
    seen: dict[bytes, int] = {}
    kinds = [seen.setdefault(column.tobytes(), len(seen)) for column in np.concatenate(tables).T.copy()]
    return np.unique(kinds, return_index=True)[1], np.array(kinds)


def row_kinds(table: Ints) -> Ints:
    """Equal rows of `table` (S, W), which has few distinct columns, get equal numbers, (S,)."""
    columns, _ = distinct_columns(table)
    _, kinds = np.unique(table[:, columns], axis=0, return_inverse=True)
    return kinds.reshape(-1)
