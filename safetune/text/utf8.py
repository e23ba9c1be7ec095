"""From automata over characters to automata over bytes: UTF-8 is decoded inside the automaton.

Between the bytes of a character the automaton is in a state that knows the state before it and the bytes read. When
the next byte does not go on with the character, each byte read so far turns out to be ill-formed (see
`characters.ILL_FORMED`), and the byte is read as if those had come one by one.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from safetune.text.automaton import END, ByteAutomaton, Ints, minimise, row_kinds, smallest
from safetune.text.characters import ILL_FORMED
from safetune.text.syntax import CannotExpress

_CONTINUATION = 0x80  # the first of the 64 bytes that continue a character


class CharAutomaton(NamedTuple):
    """A total automaton over C classes of characters; its initial state is 0."""

    class_of: npt.NDArray[np.int32]  # (CODE_POINTS,)
    next_state: Ints  # (S, C)
    labels: Ints  # (S, C + 1) label bits if the next character is of that class; the last column is the end


def to_bytes(chars: CharAutomaton) -> ByteAutomaton:
    """The minimal automaton over the UTF-8 bytes of the same texts."""
    ill_formed = chars.class_of[ILL_FORMED]
    beyond_ascii = np.flatnonzero(np.bincount(chars.class_of[128:]))
    if (chars.labels[:, beyond_ascii] != chars.labels[:, [ill_formed]]).any():
        raise CannotExpress(
            "whether it matches depends on which non-ASCII character follows, and only one byte can be looked ahead; "
            r"end it with an ASCII class such as (?![A-Za-z]), or without \b"
        )
    old, table = smallest(chars.next_state, row_kinds(chars.labels), 0)
    labels = np.zeros((len(old), END + 1), dtype=np.int32)
    labels[:, :128] = chars.labels[old][:, chars.class_of[:128]]
    labels[:, 128:END] = chars.labels[old, ill_formed][:, None]
    labels[:, END] = chars.labels[old, -1]
    expanded = _Expansion(chars.class_of, table).table()
    inside_characters = np.zeros((len(expanded) - len(labels), END + 1), dtype=np.int32)
    return minimise(ByteAutomaton(0, expanded, np.concatenate([labels, inside_characters])))


class _Between(NamedTuple):
    """States between two bytes of a character: their rows are those of the states that give the character up."""

    given_up: Ints  # (N,) states over characters
    columns: Ints  # the bytes that continue the character
    targets: Ints  # (N, len(columns)) states


class _Expansion:
    """Builds the byte table. States over characters keep their numbers 0..S-1; those between bytes follow."""

    def __init__(self, class_of: npt.NDArray[np.int32], next_state: Ints) -> None:
        self.class_of, self.next_state = class_of, next_state
        ill_formed = next_state[:, class_of[ILL_FORMED]]
        self.given_up = [np.arange(len(next_state))]  # (S,) the state after k ill-formed bytes
        for _ in range(3):
            self.given_up.append(ill_formed[self.given_up[-1]])
        small = _Blocks.of(class_of)
        self.blocks = [small, _Blocks.of(small.kind)]  # of 64 and of 64 * 64 characters
        self.n_states = len(next_state)
        self.between: list[_Between] = []
        self.known: dict[tuple[int, int, int, bytes], Ints] = {}

    def table(self) -> Ints:
        """The next states (S + states between bytes, 256)."""
        rows = np.repeat(self.given_up[1][:, None], 256, axis=1)  # as after an ill-formed byte, but for what follows
        rows[:, :128] = self.next_state[:, self.class_of[:128]]
        for lead in range(0xC2, 0xE0):
            rows[:, lead] = self.after((lead & 0x1F) << 6, 1, 1)
        for lead in range(0xE0, 0xF0):
            # Shorter characters must not be written longer, and surrogates are no characters.
            first, end = {0xE0: (32, 64), 0xED: (0, 32)}.get(lead, (0, 64))
            rows[:, lead] = self.after((lead & 0x0F) << 12, 1, 2, first, end)
        for lead in range(0xF0, 0xF5):
            first, end = {0xF0: (16, 64), 0xF4: (0, 16)}.get(lead, (0, 64))
            rows[:, lead] = self.after((lead & 0x07) << 18, 1, 3, first, end)
        parts = [rows]
        for states in self.between:
            part = rows[states.given_up]
            part[:, states.columns] = states.targets
            parts.append(part)
        return np.concatenate(parts)

    def after(self, code: int, done: int, left: int, first: int = 0, end: int = 64) -> Ints:
        """The states (S,) inside a character, `done` of its bytes read and `left` to come.

        `code` is the first character that begins so; the next byte may be the `first` to the `end` (excluded) of the
        64 that continue a character.
        """
        place = code >> 6 * (left - 1)
        follow = (self.class_of if left == 1 else self.blocks[left - 2].kind)[place + first : place + end]
        key = (done, left, first, follow.tobytes())
        if key not in self.known:
            kinds, chosen = np.unique(follow, return_inverse=True)
            if left == 1:
                targets = self.next_state[:, kinds]
            else:
                codes = self.blocks[left - 2].example[kinds] << 6 * (left - 1)
                targets = np.stack([self.after(int(code), done + 1, left - 1) for code in codes], axis=1)
            self.known[key] = self.new_states(done, targets, _CONTINUATION + np.arange(first, end), chosen)
        return self.known[key]

    def new_states(self, done: int, targets: Ints, columns: Ints, chosen: Ints) -> Ints:
        """The states (S,) that the bytes `columns` lead on from, to `targets` (S, K), the one `chosen` by each."""
        rows = np.concatenate([targets, self.given_up[done][:, None]], axis=1)
        distinct, kind = np.unique(rows, axis=0, return_inverse=True)
        self.between.append(_Between(distinct[:, -1], columns, distinct[:, chosen]))
        self.n_states += len(distinct)
        return self.n_states - len(distinct) + kind.reshape(-1)


class _Blocks(NamedTuple):
    """Blocks of 64 neighbours each, by what is in them."""

    kind: npt.NDArray[np.int32]  # (N // 64,) equal blocks have equal kinds
    example: Ints  # (K,) the first block of each kind

    @classmethod
    def of(cls, values: npt.NDArray[np.int32]) -> "_Blocks":
        rows = values.reshape(-1, 64)
        changes = np.flatnonzero(np.append(True, (rows[1:] != rows[:-1]).any(axis=1)))
        numbers: dict[bytes, int] = {}
        kinds = np.array([numbers.setdefault(rows[place].tobytes(), len(numbers)) for place in changes], dtype=np.int32)
        lengths = np.diff(np.append(changes, len(rows)))
        return cls(np.repeat(kinds, lengths), changes[np.unique(kinds, return_index=True)[1]])
