"""Comparing safeguards by the words they allow, with a shortest witness for every difference.

A word is a sequence of label sets; it is allowed when no step of it breaks a rule. `end` holds at a last step only, so
no word goes on after it. Safeguards over different propositions are compared over all of them together: what one
does not speak of is free there.

Notation: S states, K letters. A letter stands for all label sets that the compared machines cannot tell apart, and
is shown as the smallest of them: it keeps tables small and witnesses free of what does not matter.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from safetune.safeguard.formula import END
from safetune.safeguard.guards import label_names
from safetune.safeguard.machine import Safeguard

Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]
Word = tuple[frozenset[str], ...]

_CELLS = 2**20  # edges followed at a time: bounds the memory of a search


class Letters(NamedTuple):
    """The joint letters of some safeguards."""

    columns: tuple[Ints, ...]  # one (K,) for each safeguard: its label set for the letter
    final: Bools  # (K,) whether `end` holds
    names: tuple[frozenset[str], ...]  # (K,) the propositions that hold

    def word(self, path: Iterable[int]) -> Word:
        return tuple(self.names[letter] for letter in path)


class Difference(NamedTuple):
    """A shortest word on whose last step two safeguards disagree."""

    word: Word
    broken: tuple[tuple[str, ...], tuple[str, ...]]  # the rules that the last step breaks in the one and in the other
    cost: tuple[float, float]

    @property
    def allowed(self) -> tuple[bool, bool]:
        """Whether the one and the other allow the last step."""
        return not self.broken[0], not self.broken[1]


class Order(NamedTuple):
    """Two successive stages: `witness` is a shortest word that the first allows and the second does not, if any."""

    before: str
    after: str
    witness: Word | None

    @property
    def holds(self) -> bool:
        return self.witness is None


def included(a: Safeguard, b: Safeguard) -> Word | None:
    """None when `b` allows every word that `a` allows; else a shortest word that `a` allows and `b` does not."""
    return _first_clash(a, b, lambda bad_a, bad_b: ~bad_a & bad_b)


def equivalent(a: Safeguard, b: Safeguard, *, costs: bool = False) -> Difference | None:
    """None when both allow the same words; else a shortest word that one of them alone allows.

    With `costs` they must also charge the same at every step, and agree on what comes after a violation.
    """
    word = _first_cost_clash(a, b) if costs else _first_clash(a, b, np.not_equal)
    if word is None:
        return None
    steps = [_last_step(guard, word) for guard in (a, b)]
    return Difference(word, (steps[0][0], steps[1][0]), (steps[0][1], steps[1][1]))


def ordered(stages: Sequence[Safeguard]) -> tuple[Order, ...]:
    """For each pair of successive stages, whether the later one allows all that the earlier one allowed."""
    return tuple(Order(before.name, after.name, included(before, after)) for before, after in pairwise(stages))


def format_word(word: Word) -> str:
    """`{wood}, then {} (3 times), then {iron, lava}`."""
    parts = []
    for names, run in groupby(word):
        times = len(list(run))
        parts.append("{" + ", ".join(sorted(names)) + "}" + (f" ({times} times)" if times > 1 else ""))
    return ", then ".join(parts) or "(nothing at all)"


def letters(*guards: Safeguard) -> Letters:
    """The joint letters of one or two safeguards, those with the fewest propositions first."""
    classes = [_letter_classes(guard) for guard in guards]
    if len(guards) == 1:
        return _distinct(guards, classes, np.arange(len(classes[0]))[:, None])
    shared = [name for name in guards[0].propositions if name in guards[1].propositions]
    common = [_bits_of(guard, shared, np.arange(len(found))) for guard, found in zip(guards, classes, strict=True)]
    # Of the label sets that agree in class and in the common names one is enough: two alphabets without a common
    # name would multiply in full.
    few = [_smallest(found * 2 ** len(shared) + bits) for found, bits in zip(classes, common, strict=True)]
    rows, others = np.nonzero(common[0][few[0]][:, None] == common[1][few[1]][None, :])
    return _distinct(guards, classes, np.stack([few[0][rows], few[1][others]], axis=1))


def shortest_path(
    start: int, size: int, n_letters: int, expand: Callable[[Ints], tuple[Ints, Bools, Bools]]
) -> Ints | None:
    """A shortest sequence of letters from node `start` to an edge that is a hit, by breadth-first search; None if none.

    `expand(nodes (N,))` tells of the edges (N, K): where they lead, which may be followed, which are hits.
    """
    seen = np.zeros(size, dtype=np.bool_)
    seen[start] = True
    frontier = np.array([start])
    origins: list[
        Ints
    ] = []  # one array a level: where each node was met first, as (number in the level before) * K + letter
    chunk = max(1, _CELLS // n_letters)
    while len(frontier):
        level: list[tuple[Ints, Ints]] = []
        for begin in range(0, len(frontier), chunk):
            following, may_follow, hit = expand(frontier[begin : begin + chunk])
            if hit.any():
                return _retrace(origins, begin * n_letters + int(hit.argmax()), n_letters)
            edges = np.flatnonzero(may_follow)
            nodes = following.ravel()[edges]
            fresh = ~seen[nodes]
            found, position = np.unique(nodes[fresh], return_index=True)
            position.sort()  # in the order they were met, which makes the witness the same on every machine
            seen[found] = True
            level.append((nodes[fresh][position], begin * n_letters + edges[fresh][position]))
        frontier = np.concatenate([nodes for nodes, _ in level])
        origins.append(np.concatenate([edges for _, edges in level]))
    return None


def _retrace(origins: list[Ints], edge: int, n_letters: int) -> Ints:
    path = [edge % n_letters]
    for level in reversed(origins):
        edge = int(level[edge // n_letters])
        path.append(edge % n_letters)
    return np.array(path[::-1])


def _first_clash(a: Safeguard, b: Safeguard, clash: Callable[[Bools, Bools], Bools]) -> Word | None:
    """A shortest word allowed by both but for its last step, where `clash` holds of (a breaks, b breaks)."""
    joint = letters(a, b)

    def expand(nodes: Ints) -> tuple[Ints, Bools, Bools]:
        (at_a, at_b), following = _pair(a, b, joint, nodes)
        bad_a, bad_b = a.broken[at_a] != 0, b.broken[at_b] != 0
        return following, ~(bad_a | bad_b | joint.final), clash(bad_a, bad_b)

    return _search(a, b, joint, expand)


def _first_cost_clash(a: Safeguard, b: Safeguard) -> Word | None:
    """A shortest word, violations on the way or not, whose last step does not cost the same or breaks for one only."""
    joint = letters(a, b)

    def expand(nodes: Ints) -> tuple[Ints, Bools, Bools]:
        (at_a, at_b), following = _pair(a, b, joint, nodes)
        # Sums of the same costs in another order may differ in the last bits.
        clash = ~np.isclose(a.cost[at_a], b.cost[at_b], rtol=1e-9, atol=0.0)
        clash |= (a.broken[at_a] != 0) != (b.broken[at_b] != 0)
        return following, np.broadcast_to(~joint.final, clash.shape), clash

    return _search(a, b, joint, expand)


def _search(
    a: Safeguard, b: Safeguard, joint: Letters, expand: Callable[[Ints], tuple[Ints, Bools, Bools]]
) -> Word | None:
    n_states = len(b.next_state)
    path = shortest_path(a.initial * n_states + b.initial, len(a.next_state) * n_states, len(joint.names), expand)
    return None if path is None else joint.word(path)


def _pair(
    a: Safeguard, b: Safeguard, joint: Letters, nodes: Ints
) -> tuple[tuple[tuple[Ints, Ints], tuple[Ints, Ints]], Ints]:
    """The edges of pairs of states, as indices into the tables of each, and the pairs where they lead (N, K)."""
    state_a, state_b = np.divmod(nodes[:, None], len(b.next_state))
    at_a, at_b = (state_a, joint.columns[0]), (state_b, joint.columns[1])
    return (at_a, at_b), a.next_state[at_a].astype(np.int64) * len(b.next_state) + b.next_state[at_b]


def _last_step(guard: Safeguard, word: Word) -> tuple[tuple[str, ...], float]:
    """The rules that the last step of a word breaks, and what it costs."""
    state = guard.initial
    for names in word:
        labels = guard.encode(names.intersection(guard.propositions))
        broken, cost = guard.broken[state, labels], guard.cost[state, labels]
        state = int(guard.next_state[state, labels])
    return guard.rule_names(int(broken)), float(cost)


def _letter_classes(guard: Safeguard) -> Ints:
    """(L,) the class of each label set: those of one class do the same in every state and agree on `end`."""
    ends = _bits_of(guard, [name for name in guard.propositions if name == END], np.arange(guard.n_labels))
    numbers: dict[bytes, int] = {}
    classes = np.empty(guard.n_labels, dtype=np.int64)
    for labels in range(guard.n_labels):
        # Columns are told apart by a digest, since all of them together may be large. Costs follow from what is broken.
        digest = blake2b(guard.next_state[:, labels].tobytes(), digest_size=16, salt=bytes([ends[labels]]))
        digest.update(guard.broken[:, labels].tobytes())
        classes[labels] = numbers.setdefault(digest.digest(), len(numbers))
    return classes


def _smallest(classes: Ints) -> Ints:
    """One label set of each class, with the fewest propositions."""
    order = np.argsort(np.bitwise_count(np.arange(len(classes))), kind="stable")
    return order[np.unique(classes[order], return_index=True)[1]]


def _bits_of(guard: Safeguard, names: Sequence[str], labels: Ints) -> Ints:
    """The label sets seen through some propositions only, in the order of `names`."""
    bits = np.zeros_like(labels)
    for position, name in enumerate(names):
        bits |= (labels >> guard.propositions.index(name) & 1) << position
    return bits


def _distinct(guards: Sequence[Safeguard], classes: Sequence[Ints], columns: Ints) -> Letters:
    """One letter for each distinct row of classes among `columns (N, guards)`, the smallest."""
    names = [
        frozenset(
            name for guard, labels in zip(guards, row, strict=True) for name in label_names(labels, guard.propositions)
        )
        for row in columns.tolist()
    ]
    order = sorted(range(len(names)), key=lambda row: (len(names[row]), columns[row].tolist()))
    first: dict[tuple[int, ...], int] = {}
    for row in order:
        key = tuple(int(found[labels]) for found, labels in zip(classes, columns[row], strict=True))
        first.setdefault(key, row)
    rows = list(first.values())
    kept = tuple(names[row] for row in rows)
    final = np.array([END in letter for letter in kept])
    return Letters(tuple(columns[rows, index] for index in range(len(guards))), final, kept)
