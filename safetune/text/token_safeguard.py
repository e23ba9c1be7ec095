"""A safeguard over the tokens of a tokenizer: exact verdicts for whole batches, numpy only.

A token is the bytes it adds to the text, so the same text gets the same verdict however it is cut into tokens. What
is charged to which token:

- a match is charged to the token that completed it, also where only the text behind it confirmed that;
- a match that is complete within the prompt is charged to nobody, one begun there and completed later is charged;
- where a row has ended, by a token or by its length limit, what is pending is confirmed and charged to the last token
  with text, and the end's own step to the last token; a row without tokens is charged nothing.

Notation: B rows, T tokens a row, S states, U token classes, V ids. Masks are true where a token is real.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safetune.errors import DataError
from safetune.safeguard.machine import Safeguard
from safetune.safeguard.minimise import Ints
from safetune.text.product import STATE_LIMIT, ByteSafeguard, Floats, Outcomes
from safetune.text.settings import TextSettings
from safetune.text.token_classes import TokenClasses, token_classes
from safetune.text.vocabulary import TokenBytes, Vocabulary


class TokenTrace(NamedTuple):
    """What a safeguard says of a batch of token rows."""

    states: NDArray[np.int32]
    """(B, T+1) the state before the first token and after each; it stays where the mask is false"""
    cost: Floats
    """(B, T) what the token's violations cost, added up"""
    broken: NDArray[np.int64]
    """(B, T) bit i where the token broke rule i"""
    violations: NDArray[np.int64]
    """(B, T) number of violating steps: one token may hold several events"""


@dataclass(frozen=True, eq=False)
class TokenSafeguard:
    """A safeguard compiled for one vocabulary. Immutable; N streams are N integers."""

    machine: ByteSafeguard
    vocabulary: Vocabulary
    classes: TokenClasses
    settings: TextSettings

    @classmethod
    def compile(
        cls,
        guard: Safeguard | ByteSafeguard,
        tokenizer: Any | Sequence[TokenBytes],
        *,
        size: int | None = None,
        state_limit: int = STATE_LIMIT,
    ) -> "TokenSafeguard":
        """Compile for a transformers fast tokenizer, or for a list with the bytes of each token, None for no text.

        `size`: the model's number of embedding rows where that is larger than the vocabulary; the rest has no text.
        """
        machine = guard if isinstance(guard, ByteSafeguard) else ByteSafeguard.compile(guard, state_limit=state_limit)
        vocabulary = Vocabulary.of(tokenizer, size=size)
        classes = token_classes(machine, vocabulary.tokens)
        return cls(machine, vocabulary, classes, TextSettings.of(machine.guard.spec))

    @property
    def guard(self) -> Safeguard:
        """The safeguard that was compiled."""
        return self.machine.guard

    @property
    def initial(self) -> int:
        """The state before any text."""
        return self.machine.initial

    @property
    def n_states(self) -> int:
        """S"""
        return self.machine.n_states

    @property
    def maps(self) -> Ints:
        """(U, S) the state after a token of each class, in the narrowest integer type that holds it"""
        return self.classes.maps

    @property
    def token_class(self) -> Ints:
        """(V,) the class of each id; class 0 is that of tokens without text"""
        return self.classes.token_class

    @property
    def distance(self) -> Floats:
        """(S,) bytes to a violation, at the fewest: see `ByteSafeguard.distance`."""
        return self.machine.distance

    @property
    def spec_state(self) -> Ints:
        """(S,) the guard's state, before anything pending is settled"""
        return self.machine.spec_state

    def class_cost(self) -> Floats:
        """(U, S) what a token of each class costs, whatever token is charged. Made anew at each call: it is large."""
        outcomes = self.classes.outcomes
        return (outcomes.late_cost + outcomes.now_cost)[self.classes.edge]

    def token_bytes(self, token: int) -> TokenBytes:
        """The text of one id, None where it has none."""
        if not 0 <= token < len(self.vocabulary):
            raise DataError(f"token id: expected 0 to {len(self.vocabulary) - 1:,}, got {token}")
        return self.vocabulary.tokens[token]

    def read(self, ids: ArrayLike, mask: ArrayLike | None = None) -> NDArray[np.int32]:
        """The states (B,) after prompts (B, T), padded on either side. Nothing is charged.

        Where the spec says `prompt = "fresh"`, every row's state is the initial one.
        """
        ids, mask = self._batch(ids, mask)
        if self.settings.prompt == "fresh":
            return np.full(len(ids), self.initial, np.int32)
        return self._walk(ids, mask, None)[0][-1].astype(np.int32)

    def trace(
        self,
        ids: ArrayLike,
        mask: ArrayLike | None = None,
        state: ArrayLike | None = None,
        ended: ArrayLike = True,
    ) -> TokenTrace:
        """The verdicts on completions (B, T); each row of the mask is trues, then falses.

        `state`: (B,) or one, from `read`; the initial state if not given. `ended`: one bool or (B,): whether the text
        ends with the row, be it by a token or by a length limit.
        """
        ids, mask = self._batch(ids, mask)
        if (mask[:, 1:] > mask[:, :-1]).any():
            row = int(np.argmax((mask[:, 1:] > mask[:, :-1]).any(axis=1)))
            raise DataError(f"mask: row {row} has a real token after a masked one, expected trues and then falses")
        states, edges = self._walk(ids, mask, state)
        ends = np.where(_ended(ended, len(ids)), self.machine.end[states[-1]], 0)
        charged = _Charges(ids, mask, self._has_text)
        charged.edges(edges, self.classes.outcomes)
        charged.ends(ends, self.machine.outcomes)
        states = np.ascontiguousarray(states.T, dtype=np.int32)
        return TokenTrace(states, charged.cost, charged.broken, charged.violations)

    @cached_property
    def _has_text(self) -> NDArray[np.bool_]:
        return np.array([bool(token) for token in self.vocabulary.tokens])

    @cached_property
    def _offset(self) -> NDArray[np.int64]:
        """(V,) where the row of each id's class starts in the flat tables."""
        return self.token_class.astype(np.int64) * self.n_states

    def _walk(self, ids: Ints, mask: NDArray[np.bool_], state: ArrayLike | None) -> tuple[Ints, Ints]:
        """States (T+1, B) and outcomes (T, B). Masked places fall into class 0, whose row starts the tables."""
        place = np.ascontiguousarray(np.where(mask, self._offset.take(ids), 0).T)
        states = np.empty((len(place) + 1, len(ids)), self.maps.dtype)
        states[0] = self._start(state, len(ids))
        flat, before = self.maps.reshape(-1), states[0]
        for row, after in zip(place, states[1:], strict=True):  # the hot loop: two calls a step for the whole batch
            np.add(row, before, out=row)
            flat.take(row, out=after, mode="clip")  # "clip" spares a copy; nothing is out of bounds
            before = after
        return states, self.classes.edge.reshape(-1).take(place)

    def _start(self, state: ArrayLike | None, rows: int) -> Ints:
        start = _array("state", self.initial if state is None else state)
        if start.shape not in ((), (rows,)) or not np.issubdtype(start.dtype, np.integer):
            raise DataError(f"state: expected one whole number or shape ({rows},), got {start.dtype} {start.shape}")
        if start.min() < 0 or start.max() >= self.n_states:
            raise DataError(f"state: expected 0 to {self.n_states - 1:,}, got {start.min()} to {start.max()}")
        return start

    def _batch(self, ids: ArrayLike, mask: ArrayLike | None) -> tuple[Ints, NDArray[np.bool_]]:
        """Checked ids, 0 where masked, and the mask as booleans."""
        ids = _array("token ids", ids)
        if ids.ndim != 2 or not ids.size:
            raise DataError(f"token ids: expected shape (B, T) with at least one row and column, got {ids.shape}")
        if not np.issubdtype(ids.dtype, np.integer):
            raise DataError(f"token ids: expected whole numbers, got {ids.dtype}")
        mask = np.ones(ids.shape, np.bool_) if mask is None else _array("mask", mask)
        if mask.shape != ids.shape:
            raise DataError(f"mask: expected the shape of the token ids, {ids.shape}, got {mask.shape}")
        mask = mask.astype(np.bool_)
        ids = np.where(mask, ids, 0)
        if ids.min() < 0 or ids.max() >= len(self.vocabulary):
            wrong = ids[(ids < 0) | (ids >= len(self.vocabulary))][0]
            raise DataError(f"token ids: expected 0 to {len(self.vocabulary) - 1:,}, got {wrong}")
        return ids, mask


class _Charges:
    """Verdicts of a batch, put on the tokens that are charged with them."""

    def __init__(self, ids: Ints, mask: NDArray[np.bool_], has_text: NDArray[np.bool_]) -> None:
        self.cost = np.zeros(ids.shape)
        self.broken = np.zeros(ids.shape, np.int64)
        self.violations = np.zeros(ids.shape, np.int64)
        self._ids, self._mask, self._has_text = ids, mask, has_text

    def edges(self, edges: Ints, outcomes: Outcomes) -> None:
        """Outcomes (T, B) of the tokens."""
        places = np.flatnonzero(edges != 0)
        if not len(places):
            return
        token, row = np.divmod(places, edges.shape[1])
        edge = edges.reshape(-1)[places]
        self._add(row, token, outcomes.now_cost[edge], outcomes.now_broken[edge], outcomes.now_count[edge])
        self._add_late(row, token - 1, edge, outcomes)

    def ends(self, ends: Ints, outcomes: Outcomes) -> None:
        """Outcomes (B,) of the rows' ends, 0 where a row has not ended."""
        row = np.flatnonzero(ends)
        if not len(row):
            return
        edge = ends[row]
        last = np.count_nonzero(self._mask[row], axis=1) - 1
        self._add(row, last, outcomes.now_cost[edge], outcomes.now_broken[edge], outcomes.now_count[edge])
        self._add_late(row, last, edge, outcomes)

    def _add_late(self, row: Ints, token: Ints, edge: Ints, outcomes: Outcomes) -> None:
        """To the last token with text up to `token`; to nobody where that text is the prompt's."""
        late = np.flatnonzero(outcomes.late_count[edge])
        row, token, edge = row[late], token[late], edge[late]
        textless = np.arange(len(late))
        while len(textless := textless[token[textless] >= 0]):  # step back, for most once or never
            textless = textless[~self._has_text[self._ids[row[textless], token[textless]]]]
            token[textless] -= 1
        self._add(row, token, outcomes.late_cost[edge], outcomes.late_broken[edge], outcomes.late_count[edge])

    def _add(self, row: Ints, token: Ints, cost: Floats, broken: Ints, count: Ints) -> None:
        """Each pair of row and token is there once, so plain indexing adds."""
        real = token >= 0
        row, token = row[real], token[real]
        self.cost[row, token] += cost[real]
        self.broken[row, token] |= broken[real]
        self.violations[row, token] += count[real]


def _ended(ended: ArrayLike, rows: int) -> NDArray[np.bool_]:
    flags = _array("ended", ended)
    if flags.shape not in ((), (rows,)):
        raise DataError(f"ended: expected one bool or shape ({rows},), got shape {flags.shape}")
    return flags.astype(np.bool_)


def _array(what: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{what}: {error}") from None
