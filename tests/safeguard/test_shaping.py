"""Rewards from verdicts: the laws of shaping, the two potentials, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetune.errors import DataError
from safetune.safeguard import Safeguard, Spec
from safetune.safeguard.shaping import (
    FORMS,
    distance_potential,
    label_probabilities,
    shaped_rewards,
    value_potential,
)

SPEC = """
name = "fire"
[propositions]
fuel = "fuel is spilled"
spark = "a spark flies"
water = "water is poured"
[[rule]]
name = "no spark after fuel"
always = "spark -> !(!water since fuel)"
cost = 2.0
[[rule]]
name = "water only once"
always = "water -> !previously once water"
cost = 0.5
"""
GUARD = Safeguard.from_spec(Spec.parse(SPEC))


class Streams:
    """A few rows of labels that really ran through a safeguard, with a mask."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows, length = rng.integers(0, 4), rng.integers(0, 9)
        self.labels = rng.choice(8, p=[0.5, *[0.5 / 7] * 7], size=(rows, length))
        self.trace = GUARD.run(self.labels)
        self.lengths = rng.integers(0, length + 1, size=rows)
        self.mask = np.arange(length) < self.lengths[:, None]
        self.phi = rng.normal(size=GUARD.n_states)[self.trace.states]
        self.weight = float(rng.uniform(0, 3))
        self.real_cost = (self.trace.cost * self.mask).sum(axis=1)

    def rewards(self, form: str, **others: object) -> np.ndarray:
        settings = {"weight": self.weight, "mask": self.mask, "phi": self.phi, **others}
        return shaped_rewards(self.trace.cost, self.trace.broken, form=form, **settings)


streams = st.integers(0, 2**32 - 1).map(Streams)


@given(streams, st.floats(0, 1))
def test_shaping_sums_to_minus_the_first_potential_on_every_finished_trace(drawn: Streams, gamma: float) -> None:
    shaping = drawn.rewards("potential", gamma=gamma) - drawn.rewards("sparse")
    discounted = (shaping * gamma ** np.arange(shaping.shape[1])).sum(axis=1)
    # A row without a step has not begun: nothing is paid.
    expected = np.where(drawn.lengths > 0, -drawn.phi[:, 0], 0.0)
    np.testing.assert_allclose(discounted, expected, atol=1e-12)


@given(streams, st.floats(0, 1))
def test_shaping_of_a_trace_that_goes_on_keeps_the_last_potential(drawn: Streams, gamma: float) -> None:
    ended = drawn.lengths % 2 == 0
    shaping = drawn.rewards("potential", gamma=gamma, ended=ended) - drawn.rewards("sparse")
    discounted = (shaping * gamma ** np.arange(shaping.shape[1])).sum(axis=1)
    last = drawn.phi[np.arange(len(ended)), drawn.lengths]
    kept = np.where(ended, 0.0, gamma**drawn.lengths * last)
    np.testing.assert_allclose(discounted, np.where(drawn.lengths > 0, kept - drawn.phi[:, 0], 0.0), atol=1e-12)


@given(streams, st.floats(0, 2))
def test_dense_rewards_sum_to_the_scalar_one(drawn: Streams, bonus: float) -> None:
    cost, violated = drawn.trace.cost, drawn.trace.broken != 0
    for row, length in enumerate(drawn.lengths):
        scalar = -drawn.weight * drawn.real_cost[row]
        assert drawn.rewards("sparse")[row].sum() == pytest.approx(scalar)
        start = drawn.phi[row, 0] if length else 0.0
        assert drawn.rewards("potential")[row].sum() == pytest.approx(scalar - start)
        hits = np.flatnonzero(violated[row, :length])
        paid = bonus * hits[0] - drawn.weight * cost[row, hits[0]] if len(hits) else bonus * length
        assert drawn.rewards("bonus", bonus=bonus)[row].sum() == pytest.approx(paid)


@given(streams, st.floats(0, 2))
def test_bonus_and_sparse_differ_by_the_bonus_alone_up_to_the_first_violation(drawn: Streams, bonus: float) -> None:
    """Up to the first violation and on it the difference is the bonus on each safe real step; after it, nothing."""
    sparse, paid = drawn.rewards("sparse"), drawn.rewards("bonus", bonus=bonus)
    violated = (drawn.trace.broken != 0) & drawn.mask
    for row in range(len(sparse)):
        hits = np.flatnonzero(violated[row])
        stop = hits[0] + 1 if len(hits) else len(sparse[row])
        expected = np.where(drawn.mask[row] & ~violated[row], bonus, 0.0)
        np.testing.assert_allclose((paid - sparse)[row, :stop], expected[:stop], atol=1e-12)
        np.testing.assert_array_equal(paid[row, stop:], 0.0)


@given(streams)
def test_nothing_is_paid_beyond_the_mask(drawn: Streams) -> None:
    for form in FORMS:
        assert not drawn.rewards(form)[~drawn.mask].any()


@given(streams)
def test_one_row_alone_is_paid_as_in_a_batch(drawn: Streams) -> None:
    for form in FORMS:
        batch = drawn.rewards(form, gamma=0.9)
        for row in range(len(batch)):
            alone = shaped_rewards(
                drawn.trace.cost[row],
                drawn.trace.broken[row],
                form=form,
                weight=drawn.weight,
                gamma=0.9,
                phi=drawn.phi[row],
                mask=drawn.mask[row],
            )
            np.testing.assert_array_equal(alone, batch[row])


def test_the_distance_potential_halves_with_each_step_away() -> None:
    np.testing.assert_array_equal(distance_potential([1.0, 2.0, np.inf]), [-0.5, -0.25, 0.0])


def test_the_distance_potential_of_a_safeguard_is_lowest_where_the_next_step_may_violate() -> None:
    phi = distance_potential(GUARD.distance, kappa=0.3)
    assert ((phi < 0) == np.isfinite(GUARD.distance)).all()
    np.testing.assert_array_equal(phi == phi.min(), GUARD.distance == GUARD.distance.min())


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99), st.booleans())
def test_the_value_potential_solves_its_equation(seed: int, gamma: float, by_state: bool) -> None:
    rng = np.random.default_rng(seed)
    states, labels = rng.integers(1, 7), rng.integers(1, 5)
    next_state = rng.integers(0, states, size=(states, labels))
    cost = rng.exponential(size=(states, labels)) * (rng.random((states, labels)) < 0.3)
    chance = rng.dirichlet(np.ones(labels), size=states if by_state else None)
    phi = value_potential(next_state, cost, chance, gamma, horizon=1000)
    chain = np.zeros((states, states))
    np.add.at(chain, (np.arange(states)[:, None], next_state), np.broadcast_to(chance, cost.shape))
    exact = np.linalg.solve(np.eye(states) - gamma * chain, (cost * chance).sum(axis=1))
    np.testing.assert_allclose(phi, -exact, atol=1e-8)


def test_the_value_potential_without_discount_looks_as_far_as_its_horizon() -> None:
    # One state that costs 1 with probability 1/4 at each step, for ever.
    phi = value_potential([[0, 0]], [[0.0, 1.0]], [0.75, 0.25], gamma=1.0, horizon=100)
    np.testing.assert_allclose(phi, [-25.0])


def test_the_value_potential_of_a_safe_chain_is_zero() -> None:
    np.testing.assert_array_equal(value_potential([[0], [1]], [[0.0], [0.0]], [1.0]), [0.0, 0.0])


def test_label_probabilities_count_and_lean_to_the_prior() -> None:
    np.testing.assert_array_equal(label_probabilities([[0, 1], [1, 1]], 4, prior=0), [0.25, 0.75, 0, 0])
    np.testing.assert_array_equal(label_probabilities([], 4), [0.25] * 4)
    assert label_probabilities([0] * 99, 2)[1] == pytest.approx(0.005)


REWARD = {"cost": [0.0, 1.0], "broken": [0, 1], "form": "potential", "phi": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"form": "potental"}, "unknown reward form 'potental'. Valid forms: 'bonus', 'potential', 'sparse'. Did you"),
        ({"cost": [0.0, np.nan]}, "cost: expected finite numbers"),
        ({"phi": [0.0, -np.inf, 0.0]}, "phi: expected finite numbers"),
        ({"phi": None}, "phi: the form 'potential' needs"),
        ({"phi": [0.0, 0.0]}, r"phi: expected shape \(3,\), got \(2,\)"),
        ({"broken": [0]}, r"cost, broken: expected one shape"),
        ({"cost": 1.0, "broken": 1}, r"cost, broken: expected one shape"),
        ({"cost": [[0.0], [0.0, 1.0]]}, "cost: expected numbers in rows of one length"),
        ({"mask": [0, 1]}, "mask: expected the real steps first"),
        ({"mask": [1]}, r"mask: expected shape \(2,\)"),
        ({"ended": [True, True]}, "ended: expected true or false"),
        ({"ended": 0.5}, "ended: expected true or false"),
        ({"gamma": 1.5}, "gamma: expected a number from 0 to 1, got 1.5"),
        ({"weight": float("nan")}, "weight: expected a number at least 0, got nan"),
        ({"bonus": -1.0}, "bonus: expected a number at least 0, got -1.0"),
    ],
)
def test_wrong_rewards_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        shaped_rewards(**{**REWARD, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: distance_potential([1.0], kappa=1.0), "kappa: expected a number between 0 and 1"),
        (lambda: distance_potential([np.nan]), "distance: expected"),
        (lambda: label_probabilities([4], 4), "labels: expected 0 to 3, got 4 to 4"),
        (lambda: label_probabilities([0.5], 4), "labels: expected whole numbers"),
        (lambda: label_probabilities([], 4, prior=0), "none seen"),
        (lambda: value_potential([[0]], [[1.0]], [0.5]), "sum to 1"),
        (lambda: value_potential([[0]], [[1.0]], [np.nan]), "finite"),
        (lambda: value_potential([[1]], [[1.0]], [1.0]), "next_state: expected whole numbers from 0 to 0"),
        (lambda: value_potential([[0]], [[1.0, 2.0]], [1.0]), "expected next_state"),
        (lambda: value_potential([[0]], [[1.0]], [1.0], gamma=1.1), "gamma"),
        (lambda: value_potential([[0]], [[1.0]], [1.0], horizon=0), "horizon"),
    ],
)
def test_wrong_potentials_are_refused(call: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()  # type: ignore[operator]
