"""Exploring and minimising tables; the law that classes are exact is in test_laws.py."""

import numpy as np
import pytest

from safetune.safeguard import minimise
from safetune.safeguard.minimise import TooManyStates, breadth_first, equivalence_classes, explore, quotient


def count_to(n: int, n_labels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A chain of n states that label 0 goes along, and a verdict at its end."""
    states = np.arange(n)
    next_state = np.stack([np.minimum(states + 1, n - 1)] + [states] * (n_labels - 1), axis=1)
    verdict = np.zeros((n, n_labels), dtype=np.int64)
    verdict[-1, 0] = 1
    return next_state, verdict


def test_exploring_reaches_what_can_be_reached_and_no_more() -> None:
    keys, next_state, verdict = explore(
        5, lambda keys: ((keys[:, None] + [[0, 2]]) % 10, keys[:, None] < [[3, 0]]), 2, 9
    )
    assert sorted(keys.tolist()) == [1, 3, 5, 7, 9]
    np.testing.assert_array_equal(keys[next_state], (keys[:, None] + [[0, 2]]) % 10)
    assert verdict[:, 0].tolist() == [key < 3 for key in keys]


def test_exploring_stops_at_the_limit() -> None:
    with pytest.raises(TooManyStates):
        explore(0, lambda keys: (keys[:, None] + 1, np.zeros((len(keys), 1))), 1, 1000)


def test_a_long_chain_stays_as_long_as_it_is() -> None:
    next_state, verdict = count_to(500)
    assert len(np.unique(equivalence_classes(next_state, verdict))) == 500


def test_a_collision_of_fingerprints_is_seen_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    refine, calls = minimise._refine, []

    def collides_at_first(next_state: np.ndarray, verdict: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        calls.append(rng)
        classes = refine(next_state, verdict, rng)
        return np.array([0, 0, 1, 2]) if len(calls) == 1 else classes

    monkeypatch.setattr(minimise, "_refine", collides_at_first)
    assert len(np.unique(equivalence_classes(*count_to(4)))) == 4
    assert len(calls) == 2


def test_breadth_first_follows_labels_in_order_and_leaves_out_the_unreachable() -> None:
    next_state = np.array([[3, 1], [1, 1], [0, 0], [4, 3], [1, 4]])
    assert breadth_first(next_state).tolist() == [0, 3, 1, 4]
    assert breadth_first(next_state, start=4).tolist() == [4, 1]


def test_a_quotient_knows_which_states_it_joined() -> None:
    next_state, verdict = count_to(4)
    verdict[2:, 0] = 1
    next_small, verdict_small, members = quotient(next_state, verdict, equivalence_classes(next_state, verdict))
    assert [group.tolist() for group in members] == [[0], [1], [2, 3]]
    assert next_small.tolist() == [[1, 0], [2, 1], [2, 2]]
    assert verdict_small.tolist() == [[0, 0], [0, 0], [1, 0]]
