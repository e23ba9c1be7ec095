"""Token classes: the distinct effects that a vocabulary's tokens have on a byte machine.

A token's effect is a map from state to state with the outcome of reading it from each state. A vocabulary of 49 K
tokens has a few thousand distinct effects, so they are stored once, and a token is a class.

They are found by reading each token byte by byte through the machine of effects itself: the effect of a prefix, and
the kind of the byte that follows, give the effect of the longer prefix. Each such pair is composed once, so tokens
that share a prefix, and prefixes that do the same, share the work.

Notation: S states, K kinds of bytes, U classes, V tokens, E outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safetune.errors import SpecError
from safetune.safeguard.minimise import Ints
from safetune.text.automaton import distinct_columns
from safetune.text.product import ByteSafeguard, Outcomes

TABLE_LIMIT = 2**30  # bytes
_Outcome = tuple[float, int, int, float, int, int]


@dataclass(frozen=True, eq=False)
class TokenClasses:
    """Class 0 changes nothing: it is that of tokens without text, and of masked places."""

    maps: Ints
    """(U, S) the state after the token"""
    edge: Ints
    """(U, S) into `outcomes`; `late` is about the text before the token, `now` about the token's own"""
    token_class: Ints
    """(V,)"""
    outcomes: Outcomes

    @property
    def table_bytes(self) -> int:
        """Memory of the two tables."""
        return self.maps.nbytes + self.edge.nbytes


def token_classes(machine: ByteSafeguard, tokens: Sequence[bytes | None]) -> TokenClasses:
    """Exact classes of all tokens; None, and empty text, change nothing."""
    composer = _Composer(machine)
    effects = [composer.effect(token) if token else 0 for token in tokens]
    used, token_class = np.unique([0, *effects], return_inverse=True)
    maps, edge = composer.tables(used)
    return TokenClasses(maps, edge, token_class.reshape(-1)[1:].astype(np.int32), composer.outcomes())


class _Composer:
    """Effects by number, 0 the empty text's, and what each becomes when one more byte follows."""

    def __init__(self, machine: ByteSafeguard) -> None:
        self.name = machine.guard.name
        columns, kind_of_byte = distinct_columns(machine.next_state, machine.edge)
        state_type = np.min_scalar_type(machine.n_states - 1)
        self.byte_next = np.ascontiguousarray(machine.next_state[:, columns].T, dtype=state_type)  # (K, S)
        self.byte_edge = np.ascontiguousarray(machine.edge[:, columns].T)  # (K, S)
        self.kinds = bytes(kind_of_byte.tolist())  # a translation table: at most 256 kinds
        self.n_kinds = len(columns)
        self.values: list[_Outcome] = list(zip(*(array.tolist() for array in machine.outcomes), strict=True))
        self.number = {value: index for index, value in enumerate(self.values)}
        self.joined: dict[tuple[int, int], int] = {}
        self.maps = [np.arange(machine.n_states, dtype=state_type)]
        self.edges: list[np.ndarray | None] = [None]  # None: nothing is broken from any state
        self.following: dict[int, int] = {}  # effect · K + kind of byte -> effect
        self.known: dict[int, list[int]] = {}  # hash of an effect -> effects

    def effect(self, token: bytes) -> int:
        """The number of the token's effect."""
        effect = 0
        for kind in token.translate(self.kinds):
            pair = effect * self.n_kinds + kind
            longer = self.following.get(pair)
            if longer is None:
                longer = self.following[pair] = self._extend(effect, kind)
            effect = longer
        return effect

    def tables(self, effects: Ints) -> tuple[Ints, Ints]:
        """The maps and outcomes (U, S) of these effects, as narrow as they can be."""
        edge = np.zeros((len(effects), len(self.maps[0])), np.min_scalar_type(len(self.values) - 1))
        for row, effect in zip(edge, effects.tolist(), strict=True):
            if (outcomes := self.edges[effect]) is not None:
                row[:] = outcomes
        return np.stack([self.maps[effect] for effect in effects.tolist()]), edge

    def outcomes(self) -> Outcomes:
        return Outcomes(*map(np.array, zip(*self.values, strict=True)))

    def _extend(self, effect: int, kind: int) -> int:
        between = self.maps[effect]
        edge = self.byte_edge[kind].take(between)
        # Only the first byte of a token speaks of the text before it. A token may well change nothing from any state,
        # so it is not enough to ask whether the map so far is that of the empty text.
        edge = edge if effect == 0 else self._join(self.edges[effect], edge)
        return self._file(self.byte_next[kind].take(between), edge if edge is not None and edge.any() else None)

    def _file(self, states: np.ndarray, edge: np.ndarray | None) -> int:
        """The number of this effect, a new one if it is new."""
        mark = hash((states.tobytes(), b"" if edge is None else edge.tobytes()))
        for effect in self.known.get(mark, ()):
            if np.array_equal(self.maps[effect], states) and _same(self.edges[effect], edge):
                return effect
        if len(self.maps) * states.nbytes > TABLE_LIMIT:
            raise SpecError(
                f"spec '{self.name}': the vocabulary has over {len(self.maps):,} different effects on its "
                f"{len(states):,} text states, more than {TABLE_LIMIT / 2**20:,.0f} MiB of tables. "
                "Use fewer or shorter patterns."
            )
        self.known.setdefault(mark, []).append(len(self.maps))
        self.maps.append(states)
        self.edges.append(edge)
        return len(self.maps) - 1

    def _join(self, first: np.ndarray | None, second: np.ndarray) -> np.ndarray | None:
        """Outcomes (S,) of one stretch of a token and then the next."""
        hits = np.flatnonzero(second)
        if not len(hits):
            return first
        both = np.zeros_like(second) if first is None else first.copy()
        pairs, place = np.unique(np.stack([both[hits], second[hits]]), axis=1, return_inverse=True)
        both[hits] = np.array([self._join_two(*pair) for pair in pairs.T.tolist()], both.dtype)[place.reshape(-1)]
        return both

    def _join_two(self, first: int, second: int) -> int:
        if (first, second) not in self.joined:
            late_cost, late_broken, late_count, cost, broken, count = self.values[first]
            next_late_cost, next_late_broken, next_late_count, next_cost, next_broken, next_count = self.values[second]
            value = (
                *(late_cost, late_broken, late_count),
                cost + next_late_cost + next_cost,
                broken | next_late_broken | next_broken,
                count + next_late_count + next_count,
            )
            if value not in self.number:
                self.number[value] = len(self.values)
                self.values.append(value)
            self.joined[first, second] = self.number[value]
        return self.joined[first, second]


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
