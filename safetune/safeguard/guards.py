"""Formulas of the present step alone, as truth tables over all sets of labels.

A set of labels is one integer with a bit per proposition: proposition i holds where `labels >> i & 1`.
L = 2**P is the number of label sets.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from safetune.safeguard.formula import Binary, Constant, Formula, Prop, Unary, children, is_temporal, subformulas

Bools = NDArray[np.bool_]


def holds(index: int, n_propositions: int) -> Bools:
    """(L,) where proposition number `index` holds."""
    return (np.arange(2**n_propositions) >> index & 1).astype(np.bool_)


def connective(node: Unary | Binary, *parts: Bools) -> Bools:
    """The truth of a node without memory, from the truth of its parts."""
    if isinstance(node, Unary):
        return ~parts[0]
    left, right = parts
    match node.op:
        case "&":
            return left & right
        case "|":
            return left | right
        case "->":
            return ~left | right
        case _:
            return left == right


def truth_table(formula: Formula, propositions: Sequence[str]) -> Bools:
    """(L,) where a guard (a formula without memory) holds."""
    return truth_tables(subformulas(formula), propositions)[formula]


def truth_tables(nodes: Iterable[Formula], propositions: Sequence[str]) -> dict[Formula, Bools]:
    """(L,) where each node holds; parts come before wholes, and a node of which a part is missing is left out."""
    shape = 2 ** len(propositions)
    values: dict[Formula, Bools] = {}
    for node in nodes:
        if is_temporal(node) or any(part not in values for part in children(node)):
            continue
        match node:
            case Constant(value=value):
                values[node] = np.full(shape, value)
            case Prop(name=name):
                values[node] = holds(propositions.index(name), len(propositions))
            case Unary(arg=arg):
                values[node] = connective(node, values[arg])
            case Binary(left=left, right=right):
                values[node] = connective(node, values[left], values[right])
    return values


def label_names(labels: int, propositions: Sequence[str]) -> tuple[str, ...]:
    """The propositions in a set of labels, in their declared order."""
    return tuple(name for index, name in enumerate(propositions) if labels >> index & 1)
