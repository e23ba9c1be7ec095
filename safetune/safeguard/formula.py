"""Formulas of pure-past linear temporal logic: the tree, its canonical text, and walks over it.

Here stands what a formula *is*. Reading one from text is `parser`'s work, turning it into a machine `compile`'s.
Meaning at step t of a trace: `previously p` is false at the first step; `once p` and `historically p` include the
present; `p since q` says that q held at some step up to now and p at every step after it; `once[k] p` says that p
holds now or held at one of the k steps before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

END = "end"
"""The built-in proposition that holds at the last step of a stream; never declared, never bound."""

PRECEDENCE = {"<->": 1, "->": 2, "|": 3, "&": 4, "since": 5}
"""Binary operators, the loosest first; `->` groups to the right, the others to the left."""

UNARY = ("!", "previously", "once", "historically")
CONSTANTS = {"true": True, "false": False}
KEYWORDS = frozenset({"previously", "once", "historically", "since", *CONSTANTS})
RESERVED = KEYWORDS | {END}


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Prop:
    """A proposition, by name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Unary:
    """`op arg`; `within` is the k of `once[k]`, and None elsewhere."""

    op: str
    arg: "Formula"
    within: int | None = None

    def __str__(self) -> str:
        head = "!" if self.op == "!" else f"{self.op}{'' if self.within is None else f'[{self.within}]'} "
        return head + (f"({self.arg})" if isinstance(self.arg, Binary) else str(self.arg))


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`."""

    op: str
    left: "Formula"
    right: "Formula"

    def __str__(self) -> str:
        # The side on which the operator groups by itself needs no brackets around an equal operator.
        groups_right = self.op == "->"
        return f"{self._side(self.left, groups_right)} {self.op} {self._side(self.right, not groups_right)}"

    def _side(self, side: "Formula", strict: bool) -> str:
        if not isinstance(side, Binary):
            return str(side)
        gap = PRECEDENCE[side.op] - PRECEDENCE[self.op]
        return f"({side})" if gap < 0 or (gap == 0 and strict) else str(side)


Formula = Constant | Prop | Unary | Binary


def children(formula: Formula) -> tuple[Formula, ...]:
    """The direct parts of a formula, from left to right."""
    match formula:
        case Unary(arg=arg):
            return (arg,)
        case Binary(left=left, right=right):
            return (left, right)
        case _:
            return ()


def subformulas(formula: Formula) -> Iterator[Formula]:
    """Each distinct part of a formula once, parts before wholes, the formula itself last."""
    seen: set[Formula] = set()
    stack = [(formula, False)]
    while stack:
        node, parts_done = stack.pop()
        if node in seen:
            continue
        if parts_done:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(children(node)))


def propositions_of(formula: Formula) -> tuple[str, ...]:
    """The names that a formula speaks of, in order of first appearance."""
    return tuple(node.name for node in subformulas(formula) if isinstance(node, Prop))


def is_temporal(node: Formula) -> bool:
    """Whether this operator (not its parts) needs memory of earlier steps."""
    return node.op in KEYWORDS if isinstance(node, Unary | Binary) else False
