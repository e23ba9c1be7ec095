"""The subset construction, over classes of characters: a few columns where bytes would need many states.

A state is the set of positions that the text so far may have led to, for the pattern and for each lookbehind in it.
The conditions between two characters are settled when the next one is known, so a column stands for "the next
character is of class c", and one more column for the end of the text.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from safetune.text.characters import CharSet, partition
from safetune.text.nfa import Nfa
from safetune.text.search import reduced, search_for
from safetune.text.syntax import Ahead, All, Any, Behind, CannotExpress, Condition, Not, Start
from safetune.text.utf8 import CharAutomaton

STATE_LIMIT = 20_000
"""How many states one pattern may have, counted over classes of characters and before minimising."""


class _Sets(NamedTuple):
    """A state: what the text so far has led to."""

    main: int  # positions of the pattern, as bits
    behind: tuple[int, ...]  # the same for each lookbehind
    at_start: bool


def determinise(nfa: Nfa, state_limit: int = STATE_LIMIT) -> CharAutomaton:
    """The deterministic automaton whose label (bit 0) holds where a match of the pattern ends."""
    reader = _Reader(nfa)
    initial = _Sets(0, (0,) * len(nfa.behind), True)
    numbers = {initial: 0}
    states = [initial]
    table: list[list[int]] = []
    labels: list[list[bool]] = []
    for state in states:  # grows while it is read
        targets, found = reader.step(state)
        for target in targets:
            if target not in numbers:
                numbers[target] = len(states)
                states.append(target)
        table.append([numbers[target] for target in targets])
        labels.append(found)
        if len(states) > state_limit:
            raise CannotExpress(f"it needs more than {state_limit:,} states; use smaller bounds in its repeats")
    if not np.any(labels):
        raise CannotExpress("it can never match")
    return CharAutomaton(reader.class_of, np.array(table), np.array(labels, dtype=np.int32))


class _Reader:
    """A pattern read over the classes into which its sets part all characters; column C is the end of the text."""

    def __init__(self, nfa: Nfa) -> None:
        self.nfa = nfa
        bodies = [nfa.main, *nfa.behind.values()]
        ahead = [part for condition in nfa.conditions for part in _aheads(condition)]
        numbers: dict[CharSet, int] = {}
        for chars in (*(chars for body in bodies for chars in body.chars), *(part.chars for part in ahead)):
            numbers.setdefault(chars, len(numbers))
        self.class_of, member = partition(list(numbers))
        self.n_classes = member.shape[1]
        classes = {chars: np.flatnonzero(member[number]).tolist() for chars, number in numbers.items()}
        main, *behind = (search_for(body, [classes[chars] for chars in body.chars], self.n_classes) for body in bodies)
        self.main, self.behind = reduced(main), behind
        self.place = {node: place for place, node in enumerate(nfa.behind)}
        self.ahead = {part: [*member[numbers[part.chars]].tolist(), part.end] for part in ahead}
        groups = defaultdict(list)
        for column in range(self.n_classes + 1):
            groups[tuple(holds[column] for holds in self.ahead.values())].append(column)
        self.groups = list(groups.values())  # columns that no condition on the next character tells apart

    def step(self, state: _Sets) -> tuple[list[_Sets], list[bool]]:
        """Where each class leads, (C,), and whether a match ends here, for each column, (C + 1,)."""
        targets = [state] * self.n_classes
        found = [False] * (self.n_classes + 1)
        for group in self.groups:
            true = self.true_conditions(state, group[0])
            if any(not needs & ~true for needs in self.nfa.main.empty):
                raise CannotExpress("it matches the empty text, which is found everywhere; let it need a character")
            found_here = self.main.found(state.main, true)
            main = self.main.step(state.main, true)
            behind = [search.step(inside, true) for search, inside in zip(self.behind, state.behind, strict=True)]
            for column in group:
                found[column] = found_here
                if column < self.n_classes:
                    targets[column] = _Sets(main[column], tuple(reached[column] for reached in behind), False)
        return targets, found

    def true_conditions(self, state: _Sets, column: int) -> int:
        """The conditions, as bits, that hold between the text so far and the next character."""
        true = 0
        for condition, number in self.nfa.conditions.items():  # inner ones first: a lookbehind may need them
            true |= self.holds(condition, state, column, true) << number
        return true

    def holds(self, condition: Condition, state: _Sets, column: int, true: int) -> bool:
        match condition:
            case Start():
                return state.at_start
            case Behind(node):
                place = self.place[node]
                empty = any(not needs & ~true for needs in self.nfa.behind[node].empty)
                return empty or self.behind[place].found(state.behind[place], true)
            case Ahead():
                return self.ahead[condition][column]
            case Not(inner):
                return not self.holds(inner, state, column, true)
            case All(parts):
                return all(self.holds(part, state, column, true) for part in parts)
            case Any(parts):
                return any(self.holds(part, state, column, true) for part in parts)


def _aheads(condition: Condition) -> Iterator[Ahead]:
    match condition:
        case Ahead():
            yield condition
        case Not(inner):
            yield from _aheads(inner)
        case All(parts) | Any(parts):
            for part in parts:
                yield from _aheads(part)
