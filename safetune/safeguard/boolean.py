"""From a collection of label sets back to a short guard that people can read.

P propositions, L = 2**P label sets; a label set is an integer with bit i for proposition i. The text written here is
in the language of guards, so that it can be pasted into a spec, except for the summary of very wide guards.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_EXACT = 6
"""Guards that depend on more propositions than this are summarised, unless they are one conjunction or its negation."""


class Cube(NamedTuple):
    """A conjunction: the propositions in `care` have the values in `value`, the others are free."""

    care: int
    value: int

    @property
    def literals(self) -> int:
        return self.care.bit_count()


def simplify(chosen: NDArray[np.bool_], names: Sequence[str]) -> str:
    """The guard that holds for exactly the label sets chosen `(L,)`: `true`, `a & !b | c`, `!(a & b)`.

    Beyond `MAX_EXACT` propositions that matter: what all chosen label sets share, and how many of how many they are.
    """
    if chosen.all() or not chosen.any():
        return "true" if chosen.all() else "false"
    relevant = [index for index in range(len(names)) if _depends_on(chosen, index)]
    kept = [names[index] for index in relevant]
    table = _project(chosen, relevant)
    if len(relevant) <= MAX_EXACT:
        plain, negated = (_sum_of_products(_cover_of(part, len(kept)), kept) for part in (table, ~table))
        # `!a | b` reads better than `!(a & !b)`, which is as long: the negation must save words.
        return f"!({negated})" if _n_words(negated) < _n_words(plain) else plain
    if cube := _as_cube(table):
        return _conjunction(cube, kept)
    if cube := _as_cube(~table):
        return _sum_of_products(tuple(Cube(1 << i, ~cube.value & 1 << i) for i in range(len(kept))), kept)
    return f"{_shared(table, kept)}{int(chosen.sum())} of {len(chosen)} label sets"


def _n_words(guard: str) -> int:
    return len(re.findall(r"\w+", guard))


def _sum_of_products(cover: tuple[Cube, ...], names: Sequence[str]) -> str:
    """`a & b | c`, with what every term shares written once: `a & (b | c)`."""
    shared = -1
    for cube in cover:
        shared &= cube.care & ~(cube.value ^ cover[0].value)
    if len(cover) > 1 and shared > 0:
        rest = tuple(Cube(cube.care & ~shared, cube.value & ~shared) for cube in cover)
        return f"{_conjunction(Cube(shared, cover[0].value & shared), names)} & ({_sum_of_products(rest, names)})"
    # The leading propositions first, the plain before the negated: the order in which a person would say it.
    ordered = sorted(
        cover, key=lambda cube: [(not cube.care >> i & 1, not cube.value >> i & 1) for i in range(len(names))]
    )
    return " | ".join(_conjunction(cube, names) for cube in ordered)


def _conjunction(cube: Cube, names: Sequence[str]) -> str:
    return " & ".join(("" if cube.value >> i & 1 else "!") + names[i] for i in range(len(names)) if cube.care >> i & 1)


def _shared(table: NDArray[np.bool_], names: Sequence[str]) -> str:
    """The literals that hold in all label sets chosen, as the beginning of a summary."""
    members = np.flatnonzero(table)
    always, ever = int(np.bitwise_and.reduce(members)), int(np.bitwise_or.reduce(members))
    cube = Cube(always | ~ever & (len(table) - 1), always)
    return f"{_conjunction(cube, names)} & … " if cube.care else ""


def _depends_on(table: NDArray[np.bool_], index: int) -> bool:
    halves = table.reshape(-1, 2, 2**index)
    return not np.array_equal(halves[:, 0], halves[:, 1])


def _project(table: NDArray[np.bool_], relevant: Sequence[int]) -> NDArray[np.bool_]:
    """The truth table over the relevant propositions alone, renumbered from 0."""
    small = np.arange(2 ** len(relevant))
    spread = np.zeros_like(small)
    for position, index in enumerate(relevant):
        spread |= (small >> position & 1) << index
    return table[spread]


def _as_cube(table: NDArray[np.bool_]) -> Cube | None:
    """The one conjunction that the table is (all its propositions matter), or None."""
    members = np.flatnonzero(table)
    return Cube(len(table) - 1, int(members[0])) if len(members) == 1 else None


def _cover_of(table: NDArray[np.bool_], n: int) -> tuple[Cube, ...]:
    return _cover(sum(1 << int(labels) for labels in np.flatnonzero(table)), n)


@lru_cache(maxsize=4096)
def _cover(wanted: int, n: int) -> tuple[Cube, ...]:
    """Few prime implicants that together are the wanted table: essential ones, then greedily, then none to spare.

    A table over n propositions is an integer here with bit `labels` set where it holds.
    """
    primes: list[tuple[Cube, int]] = []
    for cube, table in _cubes(n):  # the largest first, so that whatever lies in an earlier prime is not prime
        if table & ~wanted == 0 and not any(table & ~larger == 0 for _, larger in primes):
            primes.append((cube, table))
    picked: list[tuple[Cube, int]] = []
    missing = wanted
    while missing:
        best = max(primes, key=lambda prime: (_is_needed(prime[1], missing, primes), (prime[1] & missing).bit_count()))
        picked.append(best)
        missing &= ~best[1]
    for spare in list(picked):
        others = [table for cube, table in picked if cube != spare[0]]
        if spare[1] & ~_union(others) == 0:
            picked.remove(spare)
    return tuple(cube for cube, _ in picked)


def _is_needed(table: int, missing: int, primes: list[tuple[Cube, int]]) -> bool:
    """Whether a prime alone holds for some label set that is still missing."""
    others = _union([other for _, other in primes if other != table])
    return table & missing & ~others != 0


def _union(tables: list[int]) -> int:
    result = 0
    for table in tables:
        result |= table
    return result


@lru_cache(maxsize=MAX_EXACT + 1)
def _cubes(n: int) -> tuple[tuple[Cube, int], ...]:
    """All 3**n conjunctions over n propositions with their tables, the fewest literals first."""
    found = []
    for care in range(2**n):
        for value in range(2**n):
            if value & ~care == 0:
                table = sum(1 << labels for labels in range(2**n) if labels & care == value)
                found.append((Cube(care, value), table))
    return tuple(sorted(found, key=lambda pair: (pair[0].literals, pair[0].care, -pair[0].value)))
