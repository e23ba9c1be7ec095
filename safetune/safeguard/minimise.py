"""Tables of deterministic machines: exploring what is reachable, and making it minimal.

Shapes: S states, L label sets. A table `next_state (S, L)` holds a state per state and label set.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
"""Whole numbers: int32 for states, int64 for keys and verdicts."""

_CELLS = 2**18  # cells of the table that are filled at a time: bounds the memory that exploring needs
_SEEDS = 4  # one collision is already unlikely


class TooManyStates(Exception):
    """Exploring met more states than the limit; the caller knows which rules to name."""


def explore(
    start: int, step: Callable[[Ints], tuple[Ints, Ints]], n_labels: int, limit: int
) -> tuple[Ints, Ints, Ints]:
    """Every state that can be reached, each known by an integer key.

    `step` maps keys (N,) to the keys (N, L) that follow, and verdicts (N, L).
    Returns the keys (S,), the start's first, next_state (S, L) and the verdicts (S, L).
    """
    numbers = {start: 0}
    keys = [start]
    rows: list[Ints] = []
    verdicts: list[Ints] = []
    done, chunk = 0, max(1, _CELLS // n_labels)
    while done < len(keys):
        following, verdict = step(np.array(keys[done : done + chunk], dtype=np.int64))
        done += len(following)
        distinct, inverse = np.unique(following, return_inverse=True)
        for key in distinct.tolist():
            if key not in numbers:
                numbers[key] = len(keys)
                keys.append(key)
        if len(keys) > limit:
            raise TooManyStates
        found = np.array([numbers[key] for key in distinct.tolist()], dtype=np.int32)
        rows.append(found[inverse.reshape(following.shape)])
        verdicts.append(verdict)
    return np.array(keys, dtype=np.int64), np.concatenate(rows), np.concatenate(verdicts)


def equivalence_classes(next_state: Ints, verdict: Ints) -> Ints:
    """(S,) the class of each state under the coarsest equivalence that tells no two verdicts apart, by Moore.

    `verdict (S, L)` are integers. Two states fall into one class when no sequence of labels tells them apart.
    """
    # A round compares rows by a random 64-bit fingerprint, which is far quicker than sorting whole rows. A collision
    # can only merge what differs, and the exact check at the end would see it; then another seed is tried.
    for seed in range(_SEEDS):
        classes = _refine(next_state, verdict, np.random.default_rng(seed))
        first = np.unique(classes, return_index=True)[1][classes]
        same_verdict = np.array_equal(verdict, verdict[first])
        if same_verdict and np.array_equal(classes[next_state], classes[next_state[first]]):
            return classes
    raise AssertionError(f"no exact classes of {next_state.shape} with {_SEEDS} seeds")


def _refine(next_state: Ints, verdict: Ints, rng: np.random.Generator) -> Ints:
    n_states, n_labels = next_state.shape

    def random(size: int) -> NDArray[np.uint64]:
        return rng.integers(0, 2**64, size=size, dtype=np.uint64)

    distinct, inverse = np.unique(verdict, return_inverse=True)
    weights = random(n_labels)
    print_of_row = random(len(distinct))[inverse.reshape(verdict.shape)] @ weights
    classes, n_classes = _number(print_of_row)
    while True:
        marks = random(n_classes)[classes]
        refined, n_refined = _number(marks[next_state] @ weights + marks * np.uint64(2 * rng.integers(1, 2**62) + 1))
        if n_refined in (n_classes, n_states):
            return refined
        classes, n_classes = refined, n_refined


def _number(fingerprints: NDArray[np.uint64]) -> tuple[Ints, int]:
    distinct, inverse = np.unique(fingerprints, return_inverse=True)
    return inverse.reshape(-1), len(distinct)


def breadth_first(next_state: Ints, start: int = 0) -> Ints:
    """The states that can be reached from `start`, in breadth-first order, label sets in ascending order."""
    seen = np.zeros(len(next_state), dtype=np.bool_)
    seen[start] = True
    order = [np.array([start])]
    while len(order[-1]):
        reached = next_state[order[-1]].ravel()
        fresh, position = np.unique(reached[~seen[reached]], return_index=True)
        order.append(fresh[np.argsort(position)])
        seen[fresh] = True
    return np.concatenate(order)


def quotient(next_state: Ints, verdict: Ints, classes: Ints) -> tuple[Ints, Ints, list[Ints]]:
    """The machine of the classes, numbered breadth-first: next_state, verdict, and the old states in each new one."""
    first = np.unique(classes, return_index=True)[1]
    small = classes[next_state[first]]
    order = breadth_first(small, int(classes[0]))
    number = np.empty(len(first), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    by_class = np.argsort(classes, kind="stable")
    members = np.split(by_class, np.cumsum(np.bincount(classes))[:-1])
    return number[small[order]], verdict[first[order]], [members[old] for old in order]
