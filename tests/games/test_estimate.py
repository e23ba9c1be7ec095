"""The estimated potential: what was seen in a state decides there, what was seen elsewhere where it was never."""

from typing import Any

import numpy as np
import pytest

from safetune.errors import GameError
from safetune.games import RewardSettings
from safetune.games.estimate import HeldTables, ValueEstimate
from safetune.safeguard import value_potential

SETTINGS = RewardSettings(potential="value", gamma=0.9, weight=3.0)


def test_much_experience_gives_the_potential_of_the_true_chain(guards: Any) -> None:
    guard, rng = guards["plain"], np.random.default_rng(0)
    chance = rng.dirichlet(np.ones(guard.n_labels), size=guard.n_states)
    estimate = ValueEstimate(guard, SETTINGS)
    estimate.counts = np.round(chance * 1e7).astype(np.int64)
    expected = 3.0 * value_potential(guard.next_state, guard.cost, chance, 0.9)
    np.testing.assert_allclose(estimate.table, expected, rtol=1e-3)


def test_a_state_never_seen_takes_after_the_others(guards: Any) -> None:
    guard = guards["plain"]
    estimate = ValueEstimate(guard, SETTINGS)
    counts = np.zeros((guard.n_states, guard.n_labels), dtype=np.int64)
    counts[0, 0] = 10**7  # nothing ever held
    estimate.counts = counts
    np.testing.assert_allclose(estimate.table, 0.0, atol=1e-5)


def test_estimates_are_made_as_experience_grows(guards: Any) -> None:
    estimate = ValueEstimate(guards["plain"], SETTINGS)
    first = estimate.refresh()
    estimate.count(np.zeros(255, dtype=np.int64))
    assert estimate.refresh() is first
    estimate.count(3)
    second = estimate.refresh()
    assert second is not first
    assert estimate.refresh() is second
    assert estimate.counts[0, 0] == 255
    assert estimate.counts[0, 3] == 1


def test_tables_are_held_until_their_episodes_end() -> None:
    old, new, newest = (np.full(2, float(value)) for value in range(3))
    held = HeldTables(3, old)
    states = np.array([0, 1, 0])
    held.give(np.array([False, True, False]), new)
    assert held.of(states).tolist() == [0.0, 1.0, 0.0]
    held.give(np.array([True, False, False]), newest)
    assert held.of(states).tolist() == [2.0, 1.0, 0.0]
    held.give(np.array([False, True, True]), newest)
    assert held.of(states).tolist() == [2.0, 2.0, 2.0]
    held.give(np.array([True, True, True]), old)
    assert held.of(states).tolist() == [0.0, 0.0, 0.0]
    assert len(held) == 1


@pytest.mark.parametrize("counts", [np.zeros((6, 8)), np.zeros((6, 7), dtype=int), np.full((6, 8), -1)])
def test_counts_are_checked(guards: Any, counts: Any) -> None:
    with pytest.raises(GameError, match=r"label_counts: got .*, expected whole numbers .* of shape \(6, 8\)"):
        ValueEstimate(guards["plain"], SETTINGS).counts = counts
