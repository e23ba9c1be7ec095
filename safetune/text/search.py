"""Searching for the matches of one body while a text is read: a set of positions that every character moves on.

C classes of characters. Sets of positions and sets of conditions are integers with a bit for each; `true` is the set
of conditions that hold at the present place in the text.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from safetune.text.nfa import Body

START = -1
"""Stands for the beginning of a match, in place of a position."""

_REDUCED_LIMIT = 4_000  # positions of a reduced search
_CONDITION_LIMIT = 4  # reducing considers every set of conditions

Rows = Callable[[int], Sequence[int]]  # a position -> one set of positions for each class, (C,)


class Union:
    """Unites the rows of a set of positions, (C,), eight positions at a time.

    Large sets hold long runs that come again in other sets, so the unions of eight are worth remembering.
    """

    def __init__(self, rows: Rows, n_classes: int) -> None:
        self.rows, self.n_classes = rows, n_classes
        self.known: dict[tuple[int, int], list[int]] = {}

    def __call__(self, positions: int, base: Sequence[int]) -> list[int]:
        """The union of `base` and of the rows of `positions`."""
        united = list(base)
        for place, eight in enumerate(positions.to_bytes((positions.bit_length() + 7) // 8, "little")):
            if eight:
                for column, reached in enumerate(self.known.get((place, eight)) or self.eight(place, eight)):
                    united[column] |= reached
        return united

    def eight(self, place: int, eight: int) -> list[int]:
        united = [0] * self.n_classes
        for bit in bits(eight):
            united = [a | b for a, b in zip(united, self.rows(8 * place + bit), strict=True)]
        self.known[place, eight] = united
        return united


class Search:
    """Positions, and which of them follow which; only the conditions in `relevant` matter."""

    def __init__(
        self,
        n_positions: int,
        n_classes: int,
        relevant: int,
        moves: Callable[[int, int], Sequence[int]],  # (position or START, true) -> what each class leads to, (C,)
        ends: Callable[[int], int],  # true -> the positions at which a match ends
    ) -> None:
        self.n_positions, self.n_classes, self.relevant = n_positions, n_classes, relevant
        self.moves, self.ends = moves, ends
        self.unions: dict[int, Union] = {}

    def step(self, positions: int, true: int) -> list[int]:
        """The positions that each class leads to, (C,); a match may begin here too."""
        true &= self.relevant
        if true not in self.unions:
            self.unions[true] = Union(lambda position: self.moves(position, true), self.n_classes)
        return self.unions[true](positions, self.moves(START, true))

    def found(self, positions: int, true: int) -> bool:
        """Does a match end here?"""
        return bool(positions & self.ends(true & self.relevant))


def search_for(body: Body, classes: Sequence[Sequence[int]], n_classes: int) -> Search:
    """The search for a body as it is written; `classes` are those that each of its positions reads."""
    relevant = 0
    for links in (body.starts, body.ends, *body.moves):
        for needs, _ in links:
            relevant |= needs

    @cache
    def moves(position: int, true: int) -> list[int]:
        reached = [0] * n_classes
        for needs, following in body.starts if position == START else body.moves[position]:
            if not needs & ~true:
                for column in classes[following]:
                    reached[column] |= 1 << following
        return reached

    @cache
    def ends(true: int) -> int:
        return sum({1 << position for needs, position in body.ends if not needs & ~true})

    return Search(len(body.chars), n_classes, relevant, moves, ends)


def reduced(search: Search) -> Search:
    """The same search with positions that never cover for one another, or the search itself if that is too large.

    Read backwards from the ends, the pattern is made deterministic; read forwards again, no two positions can then
    be completed by the same text (Brzozowski). So `(?:\\d[ -]?){13,16}` comes to 1,700 sets of positions, where the
    positions as written come to more than 100,000.
    """
    if search.relevant.bit_count() > _CONDITION_LIMIT:
        return search
    trues = list(_subsets(search.relevant))
    before = {true: Union(_sources(search, true).__getitem__, search.n_classes) for true in trues}
    nowhere = [0] * search.n_classes
    numbers: dict[int, int] = {}  # set of old positions -> new position: the old ones completed by the same texts
    ends = {true: 1 << numbers.setdefault(search.ends(true), len(numbers)) for true in trues if search.ends(true)}
    moves: dict[tuple[int, int], list[int]] = defaultdict(nowhere.copy)
    old_sets = list(numbers)
    for new, old in enumerate(old_sets):  # grows while it is read
        for true in trues:
            for column, sources in enumerate(before[true](old, nowhere)):
                if sources & 1:
                    moves[START, true][column] |= 1 << new
                if sources >> 1:
                    source = numbers.setdefault(sources >> 1, len(numbers))
                    moves[source, true][column] |= 1 << new
                    if source == len(old_sets):
                        old_sets.append(sources >> 1)
        if len(old_sets) > _REDUCED_LIMIT:
            return search

    def new_moves(position: int, true: int) -> Sequence[int]:
        return moves.get((position, true), nowhere)

    return Search(len(old_sets), search.n_classes, search.relevant, new_moves, lambda true: ends.get(true, 0))


def bits(number: int) -> Iterator[int]:
    """The places of the bits that are set, lowest first."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _sources(search: Search, true: int) -> list[list[int]]:
    """For each position (P,) and class (C,), what comes before it, shifted by one; bit 0 is the start."""
    sources = [[0] * search.n_classes for _ in range(search.n_positions)]
    for position in (START, *range(search.n_positions)):
        for column, reached in enumerate(search.moves(position, true)):
            for following in bits(reached):
                sources[following][column] |= 1 << position + 1
    return sources


def _subsets(conditions: int) -> Iterator[int]:
    subset = conditions
    while subset:
        yield subset
        subset = (subset - 1) & conditions
    yield 0
