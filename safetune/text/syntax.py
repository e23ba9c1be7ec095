"""What a pattern means, whatever its spelling: a tree of nodes, and the conditions between its characters.

A node matches a stretch of text. A condition holds at a position, seeing all the text before it and one character
after it. `regex.py` builds these trees and `nfa.py` reads them.
"""

from dataclasses import dataclass
from typing import TypeAlias

from safetune.text.characters import CharSet


class CannotExpress(Exception):
    """A pattern has no exact automaton here; the text says why. Whoever knows the pattern makes it a BindingError."""


@dataclass(frozen=True)
class One:
    """One character of a set."""

    chars: CharSet


@dataclass(frozen=True)
class Chain:
    """One part after the other; an empty chain matches the empty text."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    """Any one of the parts; no parts, no match."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Repeat:
    """A part, at least `least` and at most `most` times (None: without bound)."""

    part: "Node"
    least: int
    most: int | None


@dataclass(frozen=True)
class Where:
    """Matches the empty text where a condition holds."""

    condition: "Condition"


@dataclass(frozen=True)
class Start:
    """The position is the text's first."""


@dataclass(frozen=True)
class Behind:
    """Some match of the body ends at the position, wherever it began."""

    body: "Node"


@dataclass(frozen=True)
class Ahead:
    """The next character is in a set; where the text ends, `end` is the answer."""

    chars: CharSet
    end: bool


@dataclass(frozen=True)
class Not:
    """The inner condition does not hold."""

    inner: "Condition"


@dataclass(frozen=True)
class All:
    """Every part holds; so does an empty list."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Any:
    """Some part holds."""

    parts: tuple["Condition", ...]


Node: TypeAlias = One | Chain | Choice | Repeat | Where
Condition: TypeAlias = Start | Behind | Ahead | Not | All | Any
