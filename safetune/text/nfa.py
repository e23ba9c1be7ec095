"""A pattern's tree as a position automaton (Glushkov): a state per character of the pattern, no empty moves.

A move or an acceptance may need conditions that hold at the place in the text where it happens. Conditions are
numbered; a set of them is an integer with a bit for each. The body of a lookbehind is searched for beside the main
pattern: that some match of it ends here is then known without looking back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from safetune.text.characters import CharSet
from safetune.text.syntax import (
    Ahead,
    Behind,
    CannotExpress,
    Chain,
    Choice,
    Condition,
    Node,
    Not,
    One,
    Repeat,
    Start,
    Where,
)

_POSITION_LIMIT = 2_000  # a pattern with more, or with more moves than the next line says, has huge bounds
_MOVE_LIMIT = 200_000

Links = set[tuple[int, int]]  # pairs (needs, position); `needs` is a set of conditions, as bits


@dataclass
class Body:
    """One pattern that is searched for. It has positions 0..P-1, each with the set of characters it reads."""

    chars: list[CharSet] = field(default_factory=list)  # (P,)
    moves: list[Links] = field(default_factory=list)  # (P,) what may be read next
    starts: Links = field(default_factory=set)  # what may be read first
    ends: Links = field(default_factory=set)  # after what a match ends
    empty: set[int] = field(default_factory=set)  # the needs under which the empty text is a match


@dataclass
class Nfa:
    """The pattern, the conditions in it, and what these need to know of the text so far.

    Conditions and bodies are numbered in order, so that a lookbehind inside another one's body comes first.
    """

    main: Body = field(default_factory=Body)
    conditions: dict[Condition, int] = field(default_factory=dict)
    behind: dict[Node, Body] = field(default_factory=dict)


@dataclass
class _Fragment:
    """A part of the pattern: how it begins, how it ends, under which needs it matches the empty text."""

    first: Links
    last: Links
    empty: set[int]


def build(pattern: Node) -> Nfa:
    """The position automaton of a tree."""
    nfa = Nfa()
    nfa.main = _Builder(nfa).build(pattern)
    return nfa


class _Builder:
    """Builds one body."""

    def __init__(self, nfa: Nfa) -> None:
        self.nfa = nfa
        self.body = Body()
        self.n_moves = 0

    def build(self, node: Node) -> Body:
        whole = self.fragment(node)
        self.body.starts, self.body.ends, self.body.empty = whole.first, whole.last, whole.empty
        return self.body

    def fragment(self, node: Node) -> _Fragment:
        match node:
            case One(chars):
                position = len(self.body.chars)
                self.body.chars.append(chars)
                self.body.moves.append(set())
                return _Fragment({(0, position)}, {(0, position)}, set())
            case Where(condition):
                return _Fragment(set(), set(), {1 << self.condition(condition)})
            case Chain(parts):
                whole = _nothing()
                for part in parts:
                    whole = self.joined(whole, self.fragment(part))
                return whole
            case Choice(parts):
                return self.either(self.fragment(part) for part in parts)
            case Repeat(part, least, most):
                return self.repeated(part, least, most)

    def repeated(self, part: Node, least: int, most: int | None) -> _Fragment:
        whole = _nothing()
        for _ in range(least if most is not None else max(least - 1, 0)):
            whole = self.joined(whole, self.fragment(part))
        if most is None:
            loop = self.fragment(part)
            self.connect(loop.last, loop.first)
            if not least:
                loop.empty = {0}
            return self.joined(whole, loop)
        optional = _nothing()
        for _ in range(most - least):  # nested, (x(x(x)?)?)?, so that each copy leads to the next one only
            optional = self.joined(self.fragment(part), optional)
            optional.empty = {0}
        return self.joined(whole, optional)

    def joined(self, a: _Fragment, b: _Fragment) -> _Fragment:
        """`b` right after `a`. Takes both over, so that long chains cost no copies."""
        self.connect(a.last, b.first)
        a.first.update((needs | more, position) for needs in a.empty for more, position in b.first)
        b.last.update((needs | more, position) for needs in b.empty for more, position in a.last)
        return _Fragment(a.first, b.last, _weakest(x | y for x in a.empty for y in b.empty))

    def either(self, fragments: Iterable[_Fragment]) -> _Fragment:
        whole = _Fragment(set(), set(), set())
        for fragment in fragments:
            whole.first |= fragment.first
            whole.last |= fragment.last
            whole.empty = _weakest(whole.empty | fragment.empty)
        return whole

    def connect(self, last: Links, first: Links) -> None:
        self.n_moves += len(last) * len(first)
        if self.n_moves > _MOVE_LIMIT or len(self.body.chars) > _POSITION_LIMIT:
            raise CannotExpress("its repeats are too large; use smaller bounds, or no upper bound")
        for needs, position in last:
            self.body.moves[position].update((needs | more, following) for more, following in first)

    def condition(self, condition: Condition) -> int:
        if condition not in self.nfa.conditions:
            self.inner_bodies(condition)
            self.nfa.conditions[condition] = len(self.nfa.conditions)
        return self.nfa.conditions[condition]

    def inner_bodies(self, condition: Condition) -> None:
        match condition:
            case Behind(node):
                if node not in self.nfa.behind:
                    self.nfa.behind[node] = _Builder(self.nfa).build(node)
            case Not(inner):
                self.inner_bodies(inner)
            case Start() | Ahead():
                pass
            case _:
                for part in condition.parts:
                    self.inner_bodies(part)


def _nothing() -> _Fragment:
    """Matches the empty text alone."""
    return _Fragment(set(), set(), {0})


def _weakest(needs: Iterable[int]) -> set[int]:
    """Where nothing is needed, no needs are worth keeping."""
    kept = set(needs)
    return {0} if 0 in kept else kept
